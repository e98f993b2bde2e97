package inaetics.agent;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import inaetics.basics.Json;
import inaetics.remote.Importer;
import inaetics.remote.Server;
import java.io.Closeable;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;

/** {@code /health} (JSON; 200 when all is well, else 503) and {@code /metrics} (Prometheus' text) on the page port. */
final class Health implements Closeable {
    private final String agent;
    private final Deployer deployer;
    private final Installer installer;
    private final Server server;
    private final Importer importer;
    private final HttpServer pages;

    Health(Settings settings, Deployer deployer, Installer installer, Server server, Importer importer) throws IOException {
        this.agent = settings.agent();
        this.deployer = deployer;
        this.installer = installer;
        this.server = server;
        this.importer = importer;
        pages = HttpServer.create(new InetSocketAddress(settings.address(), settings.pagePort()), 16);
        pages.createContext("/health", exchange -> {
            Map<String, Object> look = look();
            send(exchange, Boolean.TRUE.equals(look.get("healthy")) ? 200 : 503, Json.write(look) + "\n", "application/json");
        });
        pages.createContext("/metrics", exchange -> send(exchange, 200, metrics(), "text/plain; version=0.0.4; charset=utf-8"));
        pages.setExecutor(Executors.newFixedThreadPool(2, work -> {
            Thread thread = new Thread(work, "pages");
            thread.setDaemon(true);
            return thread;
        }));
        pages.start();
    }

    @Override
    public void close() {
        pages.stop(0);
    }

    /** How the agent is, with the names that the Python agents use. */
    Map<String, Object> look() {
        Deployer.Standing standing = deployer.standing();
        List<String> hanging = installer.hanging();
        List<String> reasons = new ArrayList<>();
        if (standing.version().isEmpty()) {
            reasons.add("no deployment runs yet");
        }
        if (!standing.refusal().isEmpty()) {
            reasons.add("deployment " + standing.refused() + " was refused: " + standing.refusal());
        }
        hanging.forEach(each -> reasons.add("bundle " + each));
        long[] calls = server.counts();
        Map<String, Object> look = new LinkedHashMap<>();
        look.put("healthy", reasons.isEmpty());
        look.put("reasons", reasons);
        look.put("agent", agent);
        look.put("language", "java");
        look.put("deployment", standing.version());
        look.put("refused", standing.refused());
        look.put("refusal", standing.refusal());
        look.put("trouble", standing.trouble());
        look.put("bundles", installer.running());
        look.put("hanging", hanging);
        look.put("exports", server.exported());
        look.put("imports", importer.imported());
        look.put("calls", calls[0]);
        look.put("calls_raised", calls[1]);
        look.put("reports_waiting", standing.reports());
        look.put("installed", standing.installed());
        look.put("failed", standing.failed());
        look.put("threads", Thread.activeCount());
        look.put("memory_bytes", memory());
        look.put("cpu_seconds", ProcessHandle.current().info().totalCpuDuration().map(each -> each.toMillis() / 1e3).orElse(0.0));
        look.put("uptime_seconds", ManagementFactory.getRuntimeMXBean().getUptime() / 1000);
        return look;
    }

    private String metrics() {
        Map<String, Object> look = look();
        StringBuilder out = new StringBuilder();
        sample(out, "healthy", "gauge", Boolean.TRUE.equals(look.get("healthy")) ? 1 : 0);
        sample(out, "bundles", "gauge", installer.running().size());
        sample(out, "deployments_total{result=\"installed\"}", "counter", look.get("installed"));
        sample(out, "deployments_total{result=\"failed\"}", "counter", look.get("failed"));
        sample(out, "exported_services", "gauge", look.get("exports"));
        sample(out, "imported_services", "gauge", look.get("imports"));
        sample(out, "remote_calls_total{result=\"answered\"}", "counter", (long) look.get("calls") - (long) look.get("calls_raised"));
        sample(out, "remote_calls_total{result=\"raised\"}", "counter", look.get("calls_raised"));
        sample(out, "reports_waiting", "gauge", look.get("reports_waiting"));
        sample(out, "threads", "gauge", look.get("threads"));
        sample(out, "memory_bytes", "gauge", look.get("memory_bytes"));
        sample(out, "cpu_seconds_total", "counter", look.get("cpu_seconds"));
        return out.toString();
    }

    private static void sample(StringBuilder out, String name, String type, Object value) {
        String family = "inaetics_agent_" + name.replaceAll("\\{.*", "");
        if (!out.toString().contains("# TYPE " + family + " ")) {
            out.append("# TYPE ").append(family).append(' ').append(type).append('\n');
        }
        out.append("inaetics_agent_").append(name).append(' ').append(value).append('\n');
    }

    /** What this process has in memory now. */
    private static long memory() {
        try {
            String[] pages = java.nio.file.Files.readString(java.nio.file.Path.of("/proc/self/statm")).split(" ");
            return Long.parseLong(pages[1]) * 4096;
        } catch (IOException | NumberFormatException error) {
            return Runtime.getRuntime().totalMemory();
        }
    }

    private static void send(HttpExchange exchange, int status, String text, String type) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        try (exchange) {
            exchange.getResponseHeaders().set("Content-Type", type);
            exchange.getResponseHeaders().set("Cache-Control", "no-store");
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
        }
    }
}
