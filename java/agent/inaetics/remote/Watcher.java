package inaetics.remote;

import inaetics.basics.Log;
import inaetics.etcd.Etcd;
import java.io.Closeable;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/**
 * Follows the keys below a prefix, and tells one consumer what there is: first everything, then every change. While etcd
 * is away nothing is told; then everything again, and what is gone.
 */
public final class Watcher implements Closeable {
    /** Told on the watcher's thread; {@code value} is null for a key that is gone. */
    public interface Consumer {
        void changed(String key, byte[] value);

        /** Everything that there is was told. */
        default void listed() {}
    }

    private static final long PAUSE_MS = 500;

    private final Etcd etcd;
    private final String prefix;
    private final Consumer consumer;
    private final Map<String, byte[]> known = new HashMap<>();
    private final Thread thread;
    private volatile boolean closed;

    public Watcher(Etcd etcd, String prefix, Consumer consumer) {
        this.etcd = etcd;
        this.prefix = prefix;
        this.consumer = consumer;
        thread = new Thread(this::run, "watch of " + prefix);
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() {
        closed = true;
        thread.interrupt();
    }

    private void run() {
        boolean failing = false;
        while (!closed) {
            try {
                Etcd.Listing listing = etcd.list(prefix);
                failing = false;
                Map<String, byte[]> now = new HashMap<>();
                listing.items().forEach(item -> now.put(item.key(), item.value()));
                for (String key : known.keySet().toArray(new String[0])) {
                    if (!now.containsKey(key)) {
                        tell(key, null);
                    }
                }
                now.forEach(this::tell);
                consumer.listed();
                etcd.watch(prefix, listing.revision() + 1, items -> items.forEach(item -> tell(item.key(), item.value())));
            } catch (IOException error) {
                if (!failing && !closed) {
                    Log.info("watch interrupted, beginning again", "prefix", prefix, "reason", error.getMessage());
                }
                failing = true;
            }
            pause();
        }
    }

    private void tell(String key, byte[] value) {
        if (value == null ? known.remove(key) == null : java.util.Arrays.equals(known.put(key, value), value)) {
            return;
        }
        try {
            consumer.changed(key, value);
        } catch (RuntimeException error) {
            Log.bug("watcher failed", error);
        }
    }

    private void pause() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException ended) {
            closed = true;
        }
    }
}
