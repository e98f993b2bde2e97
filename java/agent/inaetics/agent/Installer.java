package inaetics.agent;

import inaetics.basics.Log;
import java.io.ByteArrayInputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;

/**
 * Switches from the bundles that run to others, as one step: the new ones are started beside the old ones, then each old
 * one gives its services up, calls that are inside it come to their end, and it is stopped. When one does not start,
 * those that were started are taken away again and nothing has changed.
 */
final class Installer {
    /** Gives up what a bundle offers to others, and waits so long for their calls that are inside it. */
    interface HandOver {
        void leave(Bundle bundle, long withinMs) throws InterruptedException;
    }

    /** A switch that did not come about; {@code rolledBack} were started and taken away again. */
    static final class NotInstalled extends Exception {
        private static final long serialVersionUID = 1;
        private final transient List<String> rolledBack;

        NotInstalled(String message, List<String> rolledBack) {
            super(message);
            this.rolledBack = rolledBack;
        }

        List<String> rolledBack() {
            return rolledBack;
        }
    }

    /** What a switch started and stopped. */
    record Switched(List<String> started, List<String> stopped) {}

    private static final double STOP_S = 5;
    private static final double DRAIN_S = 5;
    /** For all bundles together, at the end of the process. */
    private static final double DRAIN_ALL_S = 1;

    private final BundleContext context;
    private final HandOver handOver;
    private final Map<String, Bundle> running = Collections.synchronizedMap(new LinkedHashMap<>());
    private final Map<Thread, String> hanging = new ConcurrentHashMap<>();
    private int installs;

    Installer(BundleContext context, HandOver handOver) {
        this.context = context;
        this.handOver = handOver;
    }

    /** What runs, as {@code name-version}, in the order it was started. */
    List<String> running() {
        synchronized (running) {
            return running.keySet().stream().map(key -> key.substring(0, key.indexOf(' '))).toList();
        }
    }

    /** Bundles whose start or stop was given up and has not come to its end since. */
    List<String> hanging() {
        hanging.keySet().removeIf(thread -> !thread.isAlive());
        return List.copyOf(hanging.values());
    }

    /** Runs these bundles and no others; each may take {@code withinS} seconds to start. */
    synchronized Switched switchTo(List<Archives.Opened> wanted, double withinS) throws NotInstalled {
        Map<String, Bundle> fresh = new LinkedHashMap<>();
        List<String> started = new ArrayList<>();
        for (Archives.Opened each : wanted) {
            String key = each.item().key() + " " + each.item().sha256();
            if (running.containsKey(key)) {
                continue;
            }
            try {
                String place = "inaetics:" + key + " " + ++installs; // one that hangs in its stop keeps its own
                Bundle bundle = context.installBundle(place, new ByteArrayInputStream(each.jar()));
                fresh.put(key, bundle);
                bounded(each.item().key(), "start", withinS, () -> {
                    bundle.start();
                    return null;
                });
                started.add(each.item().key());
            } catch (BundleException | NotInstalled error) {
                takeAway(fresh, DRAIN_S);
                throw new NotInstalled("bundle " + each.item().key() + " did not start: " + reason(error), started);
            }
        }
        List<String> stopped = new ArrayList<>();
        List<String> keep = wanted.stream().map(each -> each.item().key() + " " + each.item().sha256()).toList();
        List<String> before = new ArrayList<>(running.keySet());
        running.putAll(fresh);
        Collections.reverse(before);
        for (String key : before) {
            if (!keep.contains(key)) {
                remove(key, running.remove(key), DRAIN_S);
                stopped.add(key.substring(0, key.indexOf(' ')));
            }
        }
        return new Switched(started, stopped);
    }

    /** Stops everything, what was started last first. */
    synchronized void stopAll() {
        takeAway(running, DRAIN_ALL_S);
        running.clear();
    }

    /** Waits {@code drainS} seconds for calls, for all of these bundles together. */
    private void takeAway(Map<String, Bundle> bundles, double drainS) {
        long end = System.nanoTime() + (long) (drainS * 1e9);
        List<String> keys = new ArrayList<>(bundles.keySet());
        Collections.reverse(keys);
        keys.forEach(key -> remove(key, bundles.get(key), Math.max((end - System.nanoTime()) / 1e9, 0)));
    }

    private void remove(String key, Bundle bundle, double drainS) {
        String name = key.substring(0, key.indexOf(' '));
        try {
            bounded(name, "hand-over", drainS + STOP_S, () -> {
                handOver.leave(bundle, (long) (drainS * 1000));
                return null;
            });
        } catch (NotInstalled error) {
            Log.error("bundle hinders its successor", "bundle", key, "error", error.getMessage());
        }
        try {
            bounded(name, "stop", STOP_S, () -> {
                bundle.uninstall();
                return null;
            });
        } catch (NotInstalled error) {
            Log.error("bundle failed to stop", "bundle", key, "error", error.getMessage());
        }
    }

    /** Runs code of a bundle on a thread of its own. One that does not come back is interrupted and left behind. */
    private void bounded(String bundle, String doing, double withinS, Callable<Void> work) throws NotInstalled {
        FutureTask<Void> task = new FutureTask<>(work);
        Thread thread = new Thread(task, bundle + " " + doing);
        thread.setDaemon(true);
        thread.start();
        try {
            task.get((long) (withinS * 1000), TimeUnit.MILLISECONDS);
        } catch (ExecutionException error) {
            throw new NotInstalled(reason(error.getCause()), List.of());
        } catch (TimeoutException late) {
            StackTraceElement[] stack = thread.getStackTrace();
            String place = stack.length == 0 ? "" : " (it is at " + stack[0] + ")";
            hanging.put(thread, bundle + " hangs in its " + doing + place);
            task.cancel(true);
            throw new NotInstalled("its " + doing + " takes longer than " + withinS + " s" + place, List.of());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new NotInstalled("the agent is stopping", List.of());
        }
    }

    private static String reason(Throwable error) {
        StringBuilder words = new StringBuilder(String.valueOf(error.getMessage()));
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            words.append(": ").append(cause);
        }
        return words.toString().strip();
    }
}
