package inaetics.remote;

import inaetics.basics.Log;
import inaetics.etcd.Etcd;
import java.io.Closeable;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Keeps this agent's keys in etcd as they shall be, under a lease. When etcd goes away it goes to the next member, and
 * when the lease ended writes everything again under a new one.
 */
final class Announcer implements Closeable {
    private static final long TTL_S = 5;
    private static final long RENEW_MS = TTL_S * 1000 / 3;
    private static final long PAUSE_MS = 500;

    private final Etcd etcd;
    private final String prefix;
    private final Map<String, byte[]> wanted = new HashMap<>();
    private final Thread thread = new Thread(this::run, "announcer");
    private boolean changed;
    private boolean closed;
    private boolean failing;
    private long lease;
    private Map<String, byte[]> there = Map.of();

    Announcer(Etcd etcd, String prefix) {
        this.etcd = etcd;
        this.prefix = prefix;
        thread.setDaemon(true);
        thread.start();
    }

    /** Writes a key, or removes it ({@code value} null), as soon as etcd is there. */
    synchronized void set(String name, byte[] value) {
        if (value == null) {
            wanted.remove(prefix + name);
        } else {
            wanted.put(prefix + name, value);
        }
        changed = true;
        notifyAll();
    }

    /** Ends the lease, and with it all keys. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            notifyAll();
        }
        try {
            thread.join(2000);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void run() {
        while (!isClosed()) {
            try {
                hold();
                failing = false;
                await(RENEW_MS);
            } catch (IOException | RuntimeException error) {
                if (!failing) { // once an outage
                    Log.warning("cannot announce endpoints, trying again", "reason", error.getMessage());
                }
                if (failing) { // a second try at the same member costs little, a new connection much
                    etcd.another();
                }
                failing = true;
                await(PAUSE_MS);
            }
        }
        try {
            if (lease != 0) {
                etcd.revoke(lease);
            }
        } catch (IOException error) {
            Log.debug("lease not ended, it ends by itself", "reason", error.getMessage());
        }
    }

    /** Renews the lease and writes what changed. */
    private void hold() throws IOException {
        if (lease == 0 || etcd.keepAlive(lease) <= 0) {
            lease = etcd.grant(TTL_S);
            there = Map.of();
            Log.info("lease", "id", Long.toHexString(lease));
        }
        Map<String, byte[]> now;
        synchronized (this) {
            now = new HashMap<>(wanted);
            changed = false;
        }
        for (Map.Entry<String, byte[]> each : now.entrySet()) { // first: what goes may have a successor among them
            if (!Arrays.equals(there.get(each.getKey()), each.getValue())) {
                etcd.put(each.getKey(), each.getValue(), lease);
            }
        }
        for (String key : there.keySet()) {
            if (!now.containsKey(key)) {
                etcd.delete(key);
            }
        }
        there = now;
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    private synchronized void await(long ms) {
        try {
            if (!closed && !changed) {
                wait(ms);
            }
        } catch (InterruptedException interrupted) {
            closed = true;
        }
    }
}
