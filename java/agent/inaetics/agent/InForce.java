package inaetics.agent;

import inaetics.basics.Log;
import inaetics.remote.Watcher;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * The version of the mapping in force, as etcd says it; and what servers give, compared with it.
 *
 * <p>Every host of the cluster can register a provisioning server, and one that was taken over may give what it likes.
 * The record in etcd can be written by operators only. So etcd decides what is taken, and servers only bring it.
 */
final class InForce implements Watcher.Consumer {
    static final String KEY = "/inaetics/provisioning/current";

    /** A server gives what is not in force, and no version on its way explains that. Another may give the right one. */
    static final class FalseAnswer extends IOException {
        private static final long serialVersionUID = 1;

        FalseAnswer(String message) {
            super(message);
        }
    }

    private static final String UNHEARD = "etcd has not said yet which version of the mapping is in force";
    private static final long CATCH_UP_MS = 2000;
    /** How long a server may take to give a version that etcd has told of: it has the archives to fetch and to check. */
    static final long PATIENCE_MS = 3000;

    private final String target;
    private final Map<String, String> behind = new HashMap<>();
    private Version version;
    private String unknown = UNHEARD; // why nobody can say what is in force
    private Runnable overdue = () -> {};

    InForce(String target) {
        this.target = target;
    }

    /** Runs {@code overdue} whenever a version has been known for {@link #PATIENCE_MS}. */
    synchronized void whenOverdue(Runnable overdue) {
        this.overdue = overdue;
    }

    @Override
    public synchronized void changed(String key, byte[] value) {
        if (!key.equals(KEY)) {
            return;
        }
        version = null;
        unknown = "";
        try {
            version = value == null ? null : Version.read(new String(value, StandardCharsets.UTF_8));
        } catch (IllegalArgumentException error) {
            unknown = String.valueOf(error.getMessage());
            Log.error("version in force not understood, nothing new is taken", "error", unknown);
        }
        notifyAll();
        CompletableFuture.delayedExecutor(PATIENCE_MS, TimeUnit.MILLISECONDS).execute(overdue);
    }

    @Override
    public synchronized void listed() {
        if (unknown.equals(UNHEARD)) {
            unknown = "";
            notifyAll();
        }
    }

    /**
     * Returns when a deployment is what the version in force gives. Throws {@link FalseAnswer} when it is not, also for
     * a server that lags behind when it is asked again; and another {@link IOException} when that cannot be told, or may
     * be right in a moment: the server lags behind, or etcd's word does, which a server cannot help.
     */
    synchronized void check(Deployment deployment, String server) throws IOException, InterruptedException {
        long end = System.nanoTime() + CATCH_UP_MS * 1_000_000L;
        for (long left = CATCH_UP_MS; left > 0 && !reaches(deployment); left = (end - System.nanoTime()) / 1_000_000L) {
            wait(left);
        }
        String what = "deployment " + deployment.version() + ", which the provisioning server at " + server
                + " gives, is not taken";
        if (!unknown.isEmpty()) {
            throw new IOException(what + ": " + unknown);
        }
        if (version == null) {
            throw new FalseAnswer(what + ": no mapping is in force");
        }
        String words = differs(deployment, target, version);
        if (words.isEmpty()) {
            behind.remove(server);
            return;
        }
        if (deployment.counter() > version.number()) {
            throw new IOException(what + " yet: " + words + ", by what etcd has told us");
        }
        if (deployment.counter() < version.number() && !deployment.version().equals(behind.put(server, deployment.version()))) {
            throw new IOException(what + " yet: " + words);
        }
        throw new FalseAnswer(what + ": " + words);
    }

    /**
     * The version by which a server should give something else to whom it gave {@code seen} and who runs
     * {@code running}; 0 for none, and where nobody can tell.
     */
    synchronized long news(Deployment seen, Deployment running) {
        if (version == null || version.rules() == null || seen.counter() >= version.number()) {
            return 0;
        }
        Map<String, String> wanted = version.given(target);
        return wanted.equals(seen.hashes()) && wanted.equals(running.hashes()) ? 0 : version.number();
    }

    /** In what a deployment is not what a version gives to a target, in words; empty when it is just that. */
    static String differs(Deployment deployment, String target, Version version) {
        if (deployment.counter() != version.number()) {
            return "it is of version " + deployment.counter() + " of the mapping, and " + version.number() + " is in force";
        }
        if (version.rules() == null) {
            return ""; // made by older software: only the number can be compared
        }
        if (deployment.withinS() != version.withinS()) {
            return "it gives bundles " + deployment.withinS() + " s to start, and the mapping " + version.withinS() + " s";
        }
        Map<String, String> wanted = version.given(target);
        Map<String, String> found = deployment.hashes();
        TreeSet<String> all = new TreeSet<>(wanted.keySet());
        all.addAll(found.keySet());
        for (String key : all) {
            if (!found.containsKey(key)) {
                return key + " is missing, which version " + version.number() + " gives to " + target;
            }
            if (!wanted.containsKey(key)) {
                return "it has " + key + ", which version " + version.number() + " does not give to " + target;
            }
            if (!wanted.get(key).equals(found.get(key))) {
                return "its archive of " + key + " has sha256 " + found.get(key) + ", and version " + version.number()
                        + " names " + wanted.get(key);
            }
        }
        return found.size() == deployment.bundles().size() ? "" : "it names a bundle twice";
    }

    /** Whether etcd has told of the version that this came from, or of a later one. */
    private boolean reaches(Deployment deployment) {
        return unknown.isEmpty() && version != null && deployment.counter() <= version.number();
    }
}
