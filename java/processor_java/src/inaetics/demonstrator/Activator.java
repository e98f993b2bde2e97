package inaetics.demonstrator;

import java.util.Arrays;
import java.util.Dictionary;
import java.util.Hashtable;
import java.util.List;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;
import org.osgi.util.tracker.ServiceTracker;

/** Starts the processor, and offers what others may call: control, and this agent's figures. */
public final class Activator implements BundleActivator {
    private static final long STOP_MS = 3000;

    private ServiceTracker<SampleQueue, SampleQueue> queue;
    private ServiceTracker<DataStore, DataStore> store;
    private Thread worker;

    @Override
    public void start(BundleContext context) {
        queue = new ServiceTracker<>(context, SampleQueue.class, null);
        store = new ServiceTracker<>(context, DataStore.class, null);
        queue.open();
        store.open();
        Processor processor = new Processor(queue::getService, store::getService);
        Dictionary<String, Object> exported = new Hashtable<>();
        exported.put("service.exported.interfaces", "*");
        context.registerService(PipelineControl.class, processor, exported);
        context.registerService(AgentStatistics.class, () -> report(context, processor), exported);
        worker = new Thread(processor, "processor");
        worker.start();
    }

    @Override
    public void stop(BundleContext context) throws InterruptedException {
        worker.interrupt();
        worker.join(STOP_MS);
        queue.close();
        store.close();
    }

    private static AgentReport report(BundleContext context, Processor processor) {
        List<String> bundles = Arrays.stream(context.getBundles())
                .filter(bundle -> bundle.getLocation().startsWith("inaetics:"))
                .map(bundle -> bundle.getSymbolicName() + " " + bundle.getVersion())
                .sorted()
                .toList();
        return new AgentReport(
                context.getProperty("inaetics.agent"),
                context.getProperty("inaetics.host"),
                context.getProperty("inaetics.address"),
                bundles,
                processor.stats());
    }
}
