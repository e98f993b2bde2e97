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
 * Keeps the agent at what provisioning says: asks, compares with what is in force ({@link InForce}), downloads what is
 * new, checks hash and signature, switches as one step, says what came of it. Whatever goes wrong, what runs goes on
 * running. What is not what it should be may be right the next time, or at another server. A deployment that did not start
 * is not tried again until there is another one.
 */
final class Deployer {
    /** How deploying goes; texts are empty when there is nothing to say. */
    record Standing(String version, String refused, String refusal, String trouble, int installed, int failed, int reports) {}

    /** How to know what a server gives: what is in force, and a file of who may sign bundles (null: nobody need). */
    record Trust(InForce inForce, Path signers) {}

    /** What a server gives is not what it should be. */
    private static final class Unfit extends IOException {
        private static final long serialVersionUID = 1;

        Unfit(IllegalArgumentException cause) {
            super(cause.getMessage(), cause);
        }
    }

    private static final double HOLD_S = 30; // while there is nothing new, by what etcd says
    /** Between two questions that are answered at once: a server that always has something new is one that lies. */
    private static final long BREATH_MS = 50;
    private static final long RETRY_MS = 1000;
    private static final long MOST_RETRY_MS = 10_000;
    private static final long FIRST_ANSWER_MS = 3000;
    private static final int MOST_REPORTS = 20;

    private final Provisioning provisioning;
    private final Installer installer;
    private final Archives archives;
    private final Tries tries;
    private final Trust trust;
    private final Thread thread = new Thread(this::run, "deployer");
    private final Deque<Map<String, Object>> reports = new ArrayDeque<>();
    private volatile Deployment current = Deployment.NONE;
    private volatile Deployment seen = Deployment.NONE; // what was given last, taken or refused
    private String refusal = "";
    private String trouble = "";
    private String unfit = ""; // a deployment that could not be had
    private String told = ""; // of what could not be had, what was reported last
    private String stay = ""; // who gave the last deployment: what comes with it is asked over the same connection
    private int installed;
    private int failed;
    private volatile Standing standing = new Standing("", "", "", "", 0, 0, 0);
    private volatile boolean stopping;

    Deployer(Provisioning provisioning, Installer installer, Archives archives, Tries tries, Trust trust) {
        this.provisioning = provisioning;
        this.installer = installer;
        this.archives = archives;
        this.tries = tries;
        this.trust = trust;
        if (trust.signers == null) {
            Log.warning("nobody says whose signatures count: bundles are taken unsigned");
        }
        thread.setDaemon(true);
        trust.inForce.whenOverdue(this::overdue);
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
            long began = System.nanoTime();
            if (askAnyone()) {
                unanswered = 0;
                Thread.sleep(Math.max(BREATH_MS - (System.nanoTime() - began) / 1_000_000, 0));
                continue;
            }
            if (seen == Deployment.NONE && giveUpAt != 0 && System.nanoTime() >= giveUpAt) {
                giveUpAt = 0;
                restore("provisioning is away, running what ran last");
            }
            unanswered++;
            pause(unanswered);
        }
    }

    /** Waits before the next try, but not longer than until there is another deployment or another server. */
    private void pause(int tries) throws InterruptedException {
        boolean due = news() != 0 && unfit.isEmpty();
        long ms = due ? RETRY_MS : Math.min(RETRY_MS * tries, MOST_RETRY_MS);
        List<String> servers = provisioning.inTurn("");
        if (!unfit.isEmpty() && !servers.isEmpty()) {
            long began = System.nanoTime();
            try {
                sendReports(servers.get(0));
                provisioning.deployment(servers.get(0), unfit, current.version(), trouble, ms / 1000.0);
                ms = Math.min(100L * tries, ms) - (System.nanoTime() - began) / 1_000_000;
            } catch (IOException error) {
                Log.debug("not answered", "reason", error.getMessage());
            }
        }
        if (ms > 0) {
            provisioning.await(ms);
        }
    }

    /**
     * Asks the servers in turn until one answers; whether one did. Who says that there is nothing new although etcd does
     * has answered, and the next one is asked all the same.
     */
    private boolean askAnyone() throws InterruptedException, IOException {
        boolean answered = false;
        for (String server : provisioning.inTurn(stay)) {
            try {
                sendReports(server);
                String error = trouble.isEmpty() ? refusal : trouble;
                double holdS = news() == 0 ? HOLD_S : InForce.PATIENCE_MS / 1e3;
                Deployment found = provisioning.deployment(server, seen.version(), current.version(), error, holdS);
                if (found != null) {
                    deploy(server, found);
                } else if (news() != 0) {
                    answered = true;
                    throw new IOException("the provisioning server at " + server + " gives nothing of version " + news()
                            + ", which is in force");
                }
                trouble = "";
                unfit = "";
                stay = found == null ? "" : server;
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
        return answered && seen != Deployment.NONE;
    }

    /** The version in force, where etcd says that we should be given something by it; 0 where not. */
    private long news() {
        return trust.inForce.news(seen, current);
    }

    /** A server that still holds a question which it should have answered is given up for another. */
    private void overdue() {
        if (news() != 0) {
            provisioning.giveUpQuestion();
        }
    }

    private void deploy(String server, Deployment deployment) throws IOException, InterruptedException {
        long began = System.nanoTime();
        check(server, deployment);
        if (current == Deployment.NONE && tries.tried(deployment.version())) {
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

    /** Before anything is fetched: only what the version in force gives. */
    private void check(String server, Deployment deployment) throws IOException, InterruptedException {
        try {
            trust.inForce.check(deployment, server);
        } catch (InForce.FalseAnswer error) {
            if (reportOnce(server, "", error.getMessage())) {
                Log.error("deployment is not what is in force", "server", server, "error", error.getMessage());
            }
            throw error;
        } catch (IOException error) {
            unfit = deployment.version();
            throw error;
        }
    }

    private Installer.Switched install(String server, Deployment deployment)
            throws IOException, InterruptedException, Installer.NotInstalled {
        try {
            List<Archives.Opened> opened = new ArrayList<>();
            for (Deployment.Item item : deployment.bundles()) {
                opened.add(Archives.open(item, fetched(server, item)));
            }
            return installer.switchTo(opened, deployment.startS());
        } catch (Unfit error) {
            unfit = deployment.version();
            reportOnce(deployment.version(), deployment.version(), error.getMessage());
            throw error;
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
        try {
            if (trust.signers != null) {
                try {
                    Signatures.verify(item, trust.signers);
                } catch (IllegalArgumentException error) {
                    throw new IllegalArgumentException("bundle " + item.key() + " is not taken: " + error.getMessage(), error);
                }
            }
            byte[] archive = provisioning.fetch(server, item);
            archives.keep(item, archive);
            return archive;
        } catch (IllegalArgumentException error) {
            throw new Unfit(error);
        }
    }

    private void accept(Deployment deployment, Installer.Switched steps, double seconds) throws IOException {
        current = deployment;
        seen = deployment;
        refusal = "";
        installed++;
        archives.remember(deployment);
        report(deployment.version(), "installed", "", steps.started(), steps.stopped(), seconds);
        Log.info("deployed", "version", current.version(), "started", steps.started(), "stopped", steps.stopped(), "seconds", seconds);
    }

    private void refuse(Deployment deployment, String error, List<String> back, double seconds) throws InterruptedException {
        if (stopping) {
            throw new InterruptedException("it was broken off");
        }
        seen = deployment;
        refusal = error;
        failed++;
        report(deployment.version(), back.isEmpty() ? "failed" : "rolled-back", error, back, back, seconds);
        Log.error("deployment refused", "version", deployment.version(), "error", error); // it counts already
        if (current == Deployment.NONE) {
            restore("running what ran last instead");
        }
    }

    /** What cannot be had is tried again and again; it is reported when it, or the reason, is new. */
    private boolean reportOnce(String what, String version, String error) {
        if (told.equals(what + " " + error)) {
            return false;
        }
        told = what + " " + error;
        failed++;
        report(version, "failed", error, List.of(), List.of(), 0);
        return true;
    }

    private void report(
            String version, String state, String error, List<String> started, List<String> stopped, double seconds) {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("version", version);
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
            installer.switchTo(opened, last.startS());
        } catch (IllegalArgumentException | Installer.NotInstalled error) {
            Log.warning("cannot run what ran last", "version", last.version(), "reason", error.getMessage());
            return;
        }
        current = last;
        if (refusal.isEmpty()) {
            seen = last;
        }
        stand();
        Log.info(words, "version", last.version());
    }

    private void stand() {
        standing = new Standing(
                current.version(), refusal.isEmpty() ? "" : seen.version(), refusal, trouble, installed, failed, reports.size());
    }

    private static double seconds(long began) {
        return Math.round((System.nanoTime() - began) / 1e6) / 1e3;
    }
}
