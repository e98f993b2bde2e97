package inaetics.agent;

import inaetics.basics.Log;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Keeps the agent at what provisioning says: asks, downloads what is new, checks hash and signature, switches as one
 * step, says what came of it. Whatever goes wrong, what runs goes on running. A deployment that was refused is not tried
 * again until there is another one.
 */
final class Deployer {
    /** How deploying goes; texts are empty when there is nothing to say. */
    record Standing(String version, String refused, String refusal, String trouble, int installed, int failed, int reports) {}

    private static final double HOLD_S = 30;
    private static final long RETRY_MS = 1000;
    private static final long MOST_RETRY_MS = 10_000;
    private static final long FIRST_ANSWER_MS = 3000;
    private static final int MOST_REPORTS = 20;

    private final Provisioning provisioning;
    private final Installer installer;
    private final Archives archives;
    private final Tries tries;
    private final Path signers;
    private final Thread thread = new Thread(this::run, "deployer");
    private final Deque<Map<String, Object>> reports = new ArrayDeque<>();
    private String current = "";
    private String seen = "";
    private String refusal = "";
    private String trouble = "";
    private int installed;
    private int failed;
    private volatile Standing standing = new Standing("", "", "", "", 0, 0, 0);
    private volatile boolean stopping;

    /** {@code signers} is a file of who may sign bundles; null: everything is taken unsigned. */
    Deployer(Provisioning provisioning, Installer installer, Archives archives, Tries tries, Path signers) {
        this.provisioning = provisioning;
        this.installer = installer;
        this.archives = archives;
        this.tries = tries;
        this.signers = signers;
        if (signers == null) {
            Log.warning("nobody says whose signatures count: bundles are taken unsigned");
        }
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    /** Asks no more. Bundles go on running. */
    void stop() {
        stopping = true;
        thread.interrupt();
        try {
            thread.join(1000);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    Standing standing() {
        return standing;
    }

    private void run() {
        try {
            follow();
        } catch (InterruptedException ended) {
            Log.debug("deployer ended");
        } catch (RuntimeException | IOException | Error error) {
            Log.bug("deployer failed", error);
            System.exit(1); // an agent that does not follow any more must end
        }
    }

    private void follow() throws InterruptedException, IOException {
        long giveUpAt = System.nanoTime() + FIRST_ANSWER_MS * 1_000_000L;
        int unanswered = 0;
        while (!stopping) {
            if (askAnyone()) {
                unanswered = 0;
                continue;
            }
            if (seen.isEmpty() && giveUpAt != 0 && System.nanoTime() >= giveUpAt) {
                giveUpAt = 0;
                restore("provisioning is away, running what ran last");
            }
            unanswered++;
            provisioning.await(Math.min(RETRY_MS * unanswered, MOST_RETRY_MS));
        }
    }

    /** Asks the servers in turn until one answers; whether one did. */
    private boolean askAnyone() throws InterruptedException, IOException {
        for (String server : provisioning.urls()) {
            try {
                sendReports(server);
                String error = trouble.isEmpty() ? refusal : trouble;
                Deployment found = provisioning.deployment(server, seen, current, error, HOLD_S);
                if (found != null) {
                    deploy(server, found);
                }
                trouble = "";
                stand();
                return true;
            } catch (IOException error) {
                if (trouble.isEmpty()) { // once an outage
                    Log.warning("cannot follow provisioning, going on with what runs", "reason", error.getMessage());
                }
                trouble = String.valueOf(error.getMessage());
                stand();
            }
        }
        return false;
    }

    private void deploy(String server, Deployment deployment) throws IOException, InterruptedException {
        long began = System.nanoTime();
        if (current.isEmpty() && tries.tried(deployment.version())) {
            restore("the agent ended in this install before, running what ran last first");
        }
        try {
            tries.begin(deployment.version());
            accept(deployment, install(server, deployment), seconds(began));
        } catch (IllegalArgumentException error) {
            refuse(deployment, error.getMessage(), List.of(), seconds(began));
        } catch (Installer.NotInstalled error) {
            refuse(deployment, error.getMessage(), error.rolledBack(), seconds(began));
        }
        sendReports(server);
    }

    private Installer.Switched install(String server, Deployment deployment)
            throws IOException, InterruptedException, Installer.NotInstalled {
        try {
            List<Archives.Opened> opened = new ArrayList<>();
            for (Deployment.Item item : deployment.bundles()) {
                opened.add(Archives.open(item, fetched(server, item)));
            }
            return installer.switchTo(opened, deployment.withinS());
        } finally {
            if (!stopping) { // a bundle that ends the process comes this way, too
                tries.end();
            }
        }
    }

    /** What is on disk was checked when it came; its signer may have ended since. */
    private byte[] fetched(String server, Deployment.Item item) throws IOException, InterruptedException {
        byte[] kept = archives.kept(item);
        if (kept != null) {
            return kept;
        }
        if (signers != null) {
            try {
                Signatures.verify(item, signers);
            } catch (IllegalArgumentException error) {
                throw new IllegalArgumentException("bundle " + item.key() + " is not taken: " + error.getMessage(), error);
            }
        }
        byte[] archive = provisioning.fetch(server, item);
        archives.keep(item, archive);
        return archive;
    }

    private void accept(Deployment deployment, Installer.Switched steps, double seconds) throws IOException {
        current = deployment.version();
        seen = deployment.version();
        refusal = "";
        installed++;
        archives.remember(deployment);
        Log.info("deployed", "version", current, "started", steps.started(), "stopped", steps.stopped(), "seconds", seconds);
        report(deployment, "installed", "", steps.started(), steps.stopped(), seconds);
    }

    private void refuse(Deployment deployment, String error, List<String> back, double seconds) throws InterruptedException {
        if (stopping) {
            throw new InterruptedException("it was broken off");
        }
        Log.error("deployment refused", "version", deployment.version(), "error", error);
        seen = deployment.version();
        refusal = error;
        failed++;
        report(deployment, back.isEmpty() ? "failed" : "rolled-back", error, back, back, seconds);
        if (current.isEmpty()) {
            restore("running what ran last instead");
        }
    }

    private void report(
            Deployment deployment, String state, String error, List<String> started, List<String> stopped, double seconds) {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("version", deployment.version());
        report.put("state", state);
        report.put("error", error.substring(0, Math.min(error.length(), 2000)));
        report.put("started", started);
        report.put("stopped", stopped);
        report.put("seconds", seconds);
        reports.add(report);
        while (reports.size() > MOST_REPORTS) {
            reports.remove();
        }
        stand();
    }

    private void sendReports(String server) throws InterruptedException {
        while (!reports.isEmpty()) {
            try {
                provisioning.report(server, reports.peek());
            } catch (IOException error) {
                Log.debug("report not sent", "reason", error.getMessage());
                return;
            }
            reports.remove();
        }
        stand();
    }

    private void restore(String words) {
        Deployment last = archives.last();
        if (last == null) {
            Log.info("nothing to run until provisioning answers");
            return;
        }
        List<Archives.Opened> opened = new ArrayList<>();
        try {
            for (Deployment.Item item : last.bundles()) {
                byte[] kept = archives.kept(item);
                if (kept == null) {
                    throw new IllegalArgumentException("the archive of " + item.key() + " is not there");
                }
                opened.add(Archives.open(item, kept));
            }
            installer.switchTo(opened, last.withinS());
        } catch (IllegalArgumentException | Installer.NotInstalled error) {
            Log.warning("cannot run what ran last", "version", last.version(), "reason", error.getMessage());
            return;
        }
        current = last.version();
        if (refusal.isEmpty()) {
            seen = last.version();
        }
        stand();
        Log.info(words, "version", last.version());
    }

    private void stand() {
        standing = new Standing(
                current, refusal.isEmpty() ? "" : seen, refusal, trouble, installed, failed, reports.size());
    }

    private static double seconds(long began) {
        return Math.round((System.nanoTime() - began) / 1e6) / 1e3;
    }
}
