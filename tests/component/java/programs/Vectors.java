import inaetics.agent.Verdicts;
import inaetics.basics.Json;
import inaetics.remote.Description;
import inaetics.remote.Endpoint;
import inaetics.remote.Frame;
import inaetics.remote.Server;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Set;

/**
 * Checks tests/vectors/remote and tests/vectors/provisioning (the arguments) with the Java agent's code: says what does
 * not fit, a line each, then how many it looked at, then the port of a provider with the endpoint "e" as the
 * conversations want it. Ends with its standard input.
 */
public final class Vectors {
    public interface Service {
        Object echo(Object value);

        Object fail(String text);

        Object unsendable();

        Object _secret();
    }

    private static final class Provider implements Service {
        @Override
        public Object echo(Object value) {
            return value;
        }

        @Override
        public Object fail(String text) {
            throw new NoSuchElementException(text);
        }

        @Override
        public Object unsendable() {
            return new Object();
        }

        @Override
        public Object _secret() {
            return "secret";
        }
    }

    private static int looked;

    private Vectors() {}

    public static void main(String[] arguments) throws IOException {
        Path place = Path.of(arguments[0]);
        for (Map<?, ?> each : entries(place, "frames", "vectors")) {
            check(each, frame(each));
        }
        for (Map<?, ?> each : entries(place, "refused", "refused")) {
            check(each, outcome(each).equals("malformed") ? "" : "it was not refused");
        }
        for (Map<?, ?> each : entries(place, "refused", "unfinished")) {
            check(each, outcome(each).equals("unfinished") ? "" : outcome(each));
        }
        Map<?, ?> discovery = read(place, "discovery");
        Map<?, ?> endpoint = (Map<?, ?>) discovery.get("endpoint");
        check(Map.of("name", "endpoint"), endpoint(endpoint));
        for (Object each : (List<?>) discovery.get("refused")) {
            check((Map<?, ?>) each, refusedDescription((Map<?, ?>) each));
        }
        Map<?, ?> inForce = read(Path.of(arguments[1]), "in-force");
        for (Map<?, ?> each : entries(Path.of(arguments[1]), "in-force", "cases")) {
            Map<?, ?> record = (Map<?, ?>) ((Map<?, ?>) inForce.get("records")).get(text(each, "record"));
            String verdict = Verdicts.of(record, (Map<?, ?>) each.get("deployment"), text(each, "target"));
            check(Map.of("name", each.get("rule")), verdict.equals(text(each, "verdict")) ? "" : verdict);
        }
        System.out.println("looked at " + looked);
        try (Server server = new Server("127.0.0.1", "provider", null)) {
            server.add("e", new Endpoint(new Provider(), Set.of(Service.class)));
            System.out.println("port " + server.port());
            System.in.readAllBytes();
        }
    }

    private static String frame(Map<?, ?> vector) throws IOException {
        byte[] bytes = HexFormat.of().parseHex((String) vector.get("hex"));
        Frame found = Frame.read(new ByteArrayInputStream(bytes));
        Frame expected = expected((Map<?, ?>) vector.get("frame"));
        if (!same(found, expected)) {
            return found + " is not " + expected;
        }
        String written = HexFormat.of().formatHex(expected.encode());
        return Boolean.TRUE.equals(vector.get("canonical")) && !written.equals(vector.get("hex")) ? "written " + written : "";
    }

    private static boolean same(Frame found, Frame expected) {
        if (found instanceof Frame.Answer one && one.value() instanceof byte[] bytes) { // two arrays are never equal
            return expected instanceof Frame.Answer other && Arrays.equals(bytes, (byte[]) other.value());
        }
        return found.equals(expected);
    }

    private static Frame expected(Map<?, ?> frame) {
        return switch ((String) frame.get("kind")) {
            case "hello" -> new Frame.Hello(number(frame, "protocol"), text(frame, "framework"), number(frame, "window"));
            case "call" -> new Frame.Call(number(frame, "id"), text(frame, "endpoint"), text(frame, "method"),
                    (List<?>) frame.get("args"), (Map<?, ?>) frame.get("kwargs"), number(frame, "within_ms"));
            case "answer" -> new Frame.Answer(number(frame, "id"), value(frame.get("value")));
            case "failure" -> new Frame.Failure(
                    number(frame, "id"), number(frame, "reason"), text(frame, "error"), text(frame, "message"));
            case "one-way" -> new Frame.OneWay(text(frame, "endpoint"), text(frame, "method"),
                    (List<?>) frame.get("args"), (Map<?, ?>) frame.get("kwargs"));
            case "cancel" -> new Frame.Cancel(number(frame, "id"));
            default -> new Frame.Ping(number(frame, "id"), text(frame, "endpoint"));
        };
    }

    /** A value that JSON has no form for. */
    private static Object value(Object written) {
        if (written instanceof Map<?, ?> map && map.containsKey("$hex")) {
            return HexFormat.of().parseHex(text(map, "$hex"));
        }
        if (written instanceof Map<?, ?> map && map.containsKey("$float")) {
            return text(map, "$float").equals("nan") ? Double.NaN : Double.POSITIVE_INFINITY;
        }
        if (written instanceof Map<?, ?> map && map.containsKey("$time")) {
            return Instant.parse(text(map, "$time"));
        }
        return written;
    }

    /** What a stream turns out to be. */
    private static String outcome(Map<?, ?> vector) throws IOException {
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        stream.writeBytes(HexFormat.of().parseHex(text(vector, "hex")));
        if (vector.get("repeat") instanceof Map<?, ?> repeat) {
            for (long i = number(repeat, "times"); i > 0; i--) {
                stream.writeBytes(HexFormat.of().parseHex(text(repeat, "hex")));
            }
        }
        try {
            return Frame.read(new ByteArrayInputStream(stream.toByteArray())).toString();
        } catch (EOFException more) {
            return "unfinished";
        } catch (Frame.Malformed refused) {
            return "malformed";
        }
    }

    private static String endpoint(Map<?, ?> vector) {
        Description found = Description.read(text(vector, "value").getBytes(StandardCharsets.UTF_8));
        Map<?, ?> means = (Map<?, ?>) vector.get("means");
        Map<String, Object> read = new LinkedHashMap<>();
        read.put("interfaces", found.interfaces());
        read.put("endpoint", found.id());
        read.put("framework", found.framework());
        read.put("address", found.address());
        read.put("port", (long) found.port());
        read.put("timeout_s", found.timeoutMs() / 1000.0);
        for (Map.Entry<String, Object> each : read.entrySet()) {
            if (!Objects.equals(each.getValue(), means.get(each.getKey()))) {
                return each + " is not " + means.get(each.getKey());
            }
        }
        boolean all = found.properties().entrySet().containsAll(((Map<?, ?>) means.get("properties")).entrySet());
        boolean key = text(vector, "key").equals("/inaetics/discovery/" + found.framework() + "/" + found.id());
        return all && key ? "" : "properties or key do not fit";
    }

    private static String refusedDescription(Map<?, ?> vector) {
        try {
            return "read as " + Description.read(text(vector, "value").getBytes(StandardCharsets.UTF_8));
        } catch (IllegalArgumentException refused) {
            return "";
        }
    }

    private static void check(Map<?, ?> vector, String wrong) {
        looked++;
        if (!wrong.isEmpty()) {
            System.out.println("wrong: " + vector.get("name") + ": " + wrong);
        }
    }

    private static List<Map<?, ?>> entries(Path place, String file, String name) throws IOException {
        List<Map<?, ?>> found = new ArrayList<>();
        ((List<?>) read(place, file).get(name)).forEach(each -> found.add((Map<?, ?>) each));
        return found;
    }

    private static Map<String, Object> read(Path place, String file) throws IOException {
        return Json.readObject(Files.readString(place.resolve(file + ".json")));
    }

    private static long number(Map<?, ?> map, String name) {
        return (Long) map.get(name);
    }

    private static String text(Map<?, ?> map, String name) {
        return (String) map.get(name);
    }
}
