package inaetics.agent;

import inaetics.basics.Log;
import inaetics.basics.Tls;
import inaetics.etcd.Etcd;
import inaetics.remote.Exporter;
import inaetics.remote.Importer;
import inaetics.remote.Server;
import inaetics.remote.Watcher;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.Constants;
import org.osgi.framework.launch.Framework;

/** The Java node agent: Apache Felix, remote services, and a deployer that gives it its bundles. */
public final class Main {
    private static final int INVALID = 2;

    private final Deque<Closeable> parts = new ArrayDeque<>();

    private Main() {}

    /** Runs until the process is asked to end. {@code INAETICS_FELIX} is the folder with Felix's jars. */
    public static void main(String[] arguments) throws InterruptedException {
        long began = System.nanoTime();
        Main main = new Main();
        try {
            main.start(Settings.read(System.getenv()));
        } catch (IllegalArgumentException | IOException | BundleException error) {
            Log.error("cannot start", "error", error.getMessage());
            main.stop();
            Runtime.getRuntime().halt(INVALID);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(main::stop, "stop"));
        Log.info("started", "seconds", (System.nanoTime() - began) / 1_000_000 / 1e3);
        Thread.currentThread().join();
    }

    private void start(Settings settings) throws IOException, BundleException {
        Tls tls = settings.tls() == null ? null : new Tls(settings.tls());
        Files.createDirectories(settings.data());
        Path jars = Path.of(System.getenv().getOrDefault("INAETICS_FELIX", "/usr/share/java"));
        Etcd etcd = new Etcd(settings.etcd(), tls);
        Framework framework = Felix.start(settings, jars);
        parts.push(() -> stop(framework));
        BundleContext context = framework.getBundleContext();
        String me = context.getProperty(Constants.FRAMEWORK_UUID);

        Server server = started(new Server(settings.address(), me, tls));
        Importer importer = started(new Importer(context, me, tls));
        started(new Watcher(etcd, Exporter.PREFIX, importer::announced));
        String at = settings.address() + ":" + server.port();
        Exporter exporter = started(new Exporter(context, etcd, server, me, settings.agent(), at));

        Installer installer = new Installer(context, exporter::leave);
        parts.push(installer::stopAll); // bundles go first, while everything they use is there
        String where = (settings.host() + " " + settings.address()).strip();
        Provisioning provisioning = new Provisioning(settings.agent(), where, settings.address(), tls);
        Path memory = settings.data().resolve("agent");
        InForce inForce = new InForce(settings.agent());
        Deployer.Trust trust = new Deployer.Trust(inForce, settings.signers());
        Deployer deployer = new Deployer(provisioning, installer, new Archives(memory), new Tries(memory), trust);
        Health health = started(new Health(settings, deployer, installer, server, importer));
        Shell.register(context, health);
        started(new Watcher(etcd, Provisioning.PREFIX, provisioning::announced));
        started(new Watcher(etcd, InForce.KEY, inForce));
        deployer.start();
        parts.push(deployer::stop);
    }

    private <T extends Closeable> T started(T part) {
        parts.push(part);
        return part;
    }

    private void stop() {
        Log.info("stopping");
        while (!parts.isEmpty()) {
            try {
                parts.pop().close();
            } catch (IOException | RuntimeException error) {
                Log.warning("a part failed to stop", "error", error.toString());
            }
        }
        Log.info("stopped");
    }

    private static void stop(Framework framework) throws IOException {
        try {
            framework.stop();
            framework.waitForStop(2000);
        } catch (BundleException | InterruptedException error) {
            throw new IOException(error);
        }
    }
}
