package slow;

import java.util.Dictionary;
import java.util.Hashtable;
import java.util.concurrent.atomic.AtomicInteger;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;

/** A service whose call is under way while its bundle is replaced. */
public final class Activator implements BundleActivator, Slow {
    private static final String CALLED = "slow.called";
    private static final int MOST_MS = 60_000;

    private final AtomicInteger inside = new AtomicInteger();
    private volatile boolean stopped;
    private String version;

    @Override
    public void start(BundleContext context) {
        version = context.getBundle().getVersion().toString();
        Dictionary<String, Object> properties = new Hashtable<>();
        properties.put("service.exported.interfaces", "*");
        context.registerService(Slow.class, this, properties);
    }

    @Override
    public void stop(BundleContext context) {
        stopped = true;
    }

    @Override
    public String version() {
        System.setProperty(CALLED, version); // seen by every version
        return version;
    }

    @Override
    public int inside() {
        return inside.get();
    }

    @Override
    public String slowly() throws InterruptedException {
        inside.incrementAndGet();
        try {
            for (int ms = 0; System.getProperty(CALLED, version).equals(version) && ms < MOST_MS; ms += 10) {
                Thread.sleep(10);
            }
            Thread.sleep(1000);
            return version + (stopped ? " after its stop" : "");
        } finally {
            inside.decrementAndGet();
        }
    }
}
