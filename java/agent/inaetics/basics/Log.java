package inaetics.basics;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Logs as every program of the cluster does: one JSON object a line on standard output. An event's text is fixed; what
 * varies goes into fields, given as names and values in turn.
 */
public final class Log {
    private static final List<String> LEVELS = List.of("debug", "info", "warning", "error");
    private static final int LEAST =
            Math.max(level(System.getenv().getOrDefault("INAETICS_LOG_LEVEL", "info").toLowerCase()), 0);

    private Log() {}

    public static void debug(String event, Object... fields) {
        write("debug", event, fields);
    }

    public static void info(String event, Object... fields) {
        write("info", event, fields);
    }

    public static void warning(String event, Object... fields) {
        write("warning", event, fields);
    }

    public static void error(String event, Object... fields) {
        write("error", event, fields);
    }

    /** An error that nobody expected, with its stack. */
    public static void bug(String event, Throwable error) {
        StringWriter stack = new StringWriter();
        error.printStackTrace(new PrintWriter(stack));
        error(event, "exception", stack.toString());
    }

    private static int level(String name) {
        int found = LEVELS.indexOf(name);
        return found < 0 ? 1 : found;
    }

    private static void write(String level, String event, Object... fields) {
        if (level(level) < LEAST) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        for (int i = 0; i + 1 < fields.length; i += 2) {
            line.put(String.valueOf(fields[i]), fields[i + 1]);
        }
        line.put("event", event);
        line.put("level", level);
        line.put("timestamp", Instant.now().truncatedTo(ChronoUnit.MICROS).toString());
        String text = Json.write(line);
        synchronized (Log.class) {
            System.out.println(text);
        }
    }
}
