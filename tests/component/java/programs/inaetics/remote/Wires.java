package inaetics.remote;

import inaetics.basics.Tls;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Set;
import jdk.net.ExtendedSocketOptions;
import org.osgi.framework.ServiceException;

/**
 * Says what becomes of connections, a line each: which time limits the kernel has for one, then who understands whom
 * while the certificates of a caller and of a provider are replaced. The argument is a folder with the certificates
 * {@code old}, {@code new} and {@code torn} (of the new authority, with another key).
 */
public final class Wires {
    public interface Service {
        String hello();
    }

    private static final String ADDRESS = "127.0.0.1";
    private static final int PATIENCE_MS = 20_000;

    private final Path place;
    private final Server server;
    private final Tls callers;

    private Wires(Path place) throws IOException {
        this.place = place;
        use("provider", "old");
        use("caller", "old");
        server = new Server(ADDRESS, "provider", new Tls(place.resolve("provider")));
        server.add("e", new Endpoint((Service) () -> "understood", Set.of(Service.class)));
        callers = new Tls(place.resolve("caller"));
    }

    public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
        limits();
        Wires wires = new Wires(Path.of(arguments[0]));
        Peer first = wires.peer();
        say("both old", wires.call(first));
        wires.use("provider", "torn");
        say("provider's files do not fit", wires.call(wires.peer()));
        wires.use("provider", "new");
        say("provider renewed", wires.call(wires.peer()));
        say("provider renewed, connection that stands", wires.call(first));
        wires.use("caller", "new");
        say("both renewed", wires.call(wires.peer()));
        wires.use("provider", "old");
        say("caller renewed", wires.call(wires.peer()));
        Runtime.getRuntime().halt(0);
    }

    private static void limits() throws IOException, ReflectiveOperationException {
        try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getByName(ADDRESS));
                Socket caller = new Socket(ADDRESS, listener.getLocalPort());
                Socket provider = listener.accept()) {
            for (Socket each : List.of(caller, provider)) {
                new Link(each, null, each == caller, ADDRESS, PATIENCE_MS);
                say(each == caller ? "caller" : "provider", each.getKeepAlive() + " "
                        + each.getOption(ExtendedSocketOptions.TCP_KEEPIDLE) + " "
                        + each.getOption(ExtendedSocketOptions.TCP_KEEPINTERVAL) + " "
                        + each.getOption(ExtendedSocketOptions.TCP_KEEPCOUNT) + " "
                        + Vanished.unacknowledgedMs(each));
            }
        }
    }

    /** Replaces somebody's certificates, one file after the other, each whole. */
    private void use(String whose, String which) throws IOException {
        Path mine = Files.createDirectories(place.resolve(whose));
        for (String name : List.of("ca.pem", "cert.pem", "key.pem")) {
            Path partial = mine.resolve("partial");
            Files.copy(place.resolve(which).resolve(name), partial, StandardCopyOption.REPLACE_EXISTING);
            Files.move(partial, mine.resolve(name), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private Peer peer() {
        return new Peer(ADDRESS, server.port(), "provider", "caller", callers, () -> {});
    }

    private String call(Peer peer) {
        try {
            return (String) peer.call("e", "hello", List.of(), PATIENCE_MS);
        } catch (ServiceException error) {
            return "not understood";
        }
    }

    private static void say(String what, String outcome) {
        System.out.println(what + ": " + outcome);
    }
}
