package inaetics.demonstrator;

import java.util.List;
import java.util.function.Supplier;

/**
 * Takes samples from the queue, computes, stores, and acknowledges a batch only once its results are stored. Killed at
 * any point it loses nothing: what was not acknowledged comes back to the queue, and the datastore knows what it has.
 */
final class Processor implements PipelineControl, Runnable {
    private static final int MOST_A_BATCH = 1000;
    private static final double BATCH_US = 1_000_000;
    private static final double MOST_COST_US = 1_000_000;
    private static final long PAUSE_MS = 500;

    private final Supplier<SampleQueue> queue;
    private final Supplier<DataStore> store;
    private volatile Kernel kernel = new Kernel(0);
    private volatile long processed;
    private volatile double rate;
    private volatile long since = System.nanoTime();
    private long before;

    /** The suppliers give null while there is no such service. */
    Processor(Supplier<SampleQueue> queue, Supplier<DataStore> store) {
        this.queue = queue;
        this.store = store;
    }

    /** Works until its thread is interrupted. */
    @Override
    public void run() {
        while (!Thread.currentThread().isInterrupted()) {
            try {
                if (!step()) {
                    Thread.sleep(PAUSE_MS);
                }
            } catch (InterruptedException ended) {
                return;
            } catch (RuntimeException failed) { // a service that went away, or is somewhere else by now
                pause(failed);
            }
        }
    }

    @Override
    public void setUtilisation(double percent) {
        within(percent, 100, "a utilisation", "%");
    }

    @Override
    public double rate() {
        return System.nanoTime() - since > 10_000_000_000L ? 0 : rate;
    }

    @Override
    public void setCost(double us) {
        within(us, MOST_COST_US, "a cost", "µs");
        kernel = new Kernel(us);
    }

    @Override
    public void setMode(String mode) {
        if (!mode.equals("periodic") && !mode.equals("burst")) {
            throw new IllegalArgumentException("cannot set a mode of '" + mode + "': it is one of periodic, burst");
        }
    }

    List<Stat> stats() {
        return List.of(
                new Stat("processed", "counter", "samples", processed), new Stat("cost", "gauge", "µs", kernel.costUs()));
    }

    /** One batch; false when queue or datastore are not there. */
    private boolean step() {
        SampleQueue from = queue.get();
        DataStore to = store.get();
        if (from == null || to == null) {
            return false;
        }
        Kernel now = kernel;
        int most = now.costUs() > 0 ? (int) Math.max(1, Math.min(MOST_A_BATCH, BATCH_US / now.costUs())) : MOST_A_BATCH;
        BlockDelivery delivery = from.takeBlocks(1, most);
        if (!delivery.blocks().isEmpty()) {
            to.storeBlocks(delivery.blocks().stream().map(now::process).toList());
            from.acknowledge(delivery.id());
            count(delivery.blocks().stream().mapToInt(SampleBlock::count).sum());
        }
        return true;
    }

    private void count(int samples) {
        processed += samples;
        long now = System.nanoTime();
        if (now - since > 2_000_000_000L) {
            rate = (processed - before) * 1e9 / (now - since);
            since = now;
            before = processed;
        }
    }

    private static void pause(RuntimeException failed) {
        System.getLogger("processor_java").log(System.Logger.Level.INFO, "trying again: {0}", failed.getMessage());
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    private static void within(double value, double most, String what, String unit) {
        if (!(value >= 0 && value <= most)) {
            throw new IllegalArgumentException(what + " is 0 to " + (long) most + " " + unit + ", not " + value);
        }
    }
}
