package checked;

import java.nio.file.Files;
import java.nio.file.Path;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;

/** Does in start and stop what the header {@code Does} of its bundle says, and says so on standard output. */
public final class Activator implements BundleActivator {
    private String does;
    private String name;

    @Override
    public void start(BundleContext context) throws Exception {
        var headers = context.getBundle().getHeaders();
        does = String.valueOf(headers.get("Does"));
        name = headers.get("Bundle-SymbolicName") + "-" + headers.get("Bundle-Version") + " " + headers.get("Text");
        System.out.println("start " + name);
        switch (does) {
            case "raises" -> throw new IllegalStateException("no such thing");
            case "hangs in start" -> Thread.sleep(Long.MAX_VALUE);
            case "looks" -> System.out.println(
                    "tried " + Files.readString(Path.of(context.getProperty("inaetics.data"), "agent", "trying.json")));
            case "exits" -> System.exit(3);
            case "exhausts memory" -> System.out.println(new long[1 << 30].length);
            default -> { }
        }
    }

    @Override
    public void stop(BundleContext context) {
        System.out.println("stop " + name);
        while (does.equals("hangs in stop")) {
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException ignored) {
                continue; // nobody ends it
            }
        }
    }
}
