package inaetics.remote;

import inaetics.basics.Json;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** An endpoint as discovery tells of it. {@code properties} are all of it, as JSON has them. */
public record Description(
        String id, String framework, List<String> interfaces, String address, int port, Map<String, Object> properties) {
    public static final String CONFIG = "inaetics.msgpack";
    public static final String TIMEOUT = "inaetics.remote.timeout.s";
    static final String NAMESPACE = "inaetics.remote";
    static final List<String> INTENTS =
            List.of("osgi.basic", "osgi.basic.timeout", "osgi.async", "osgi.confidential");
    private static final double TIMEOUT_S = 10;

    /** Reads a key's value. Throws {@link IllegalArgumentException} that says what is wrong with it. */
    public static Description read(byte[] value) {
        Map<String, Object> record = Json.readObject(new String(value, StandardCharsets.UTF_8));
        if (!(record.get("properties") instanceof Map<?, ?> found)) {
            throw new IllegalArgumentException("it has no properties");
        }
        Map<String, Object> properties = new LinkedHashMap<>();
        found.forEach((name, each) -> properties.put(String.valueOf(name), each));
        URI at = URI.create(text(properties, "ecf.endpoint.id"));
        if (at.getHost() == null || at.getPort() < 1) {
            throw new IllegalArgumentException("its ecf.endpoint.id names no address and port");
        }
        if (texts(properties, "objectClass").isEmpty()) {
            throw new IllegalArgumentException("its objectClass is empty");
        }
        texts(properties, "service.imported.configs");
        return new Description(
                text(properties, "endpoint.id"),
                text(properties, "endpoint.framework.uuid"),
                texts(properties, "objectClass"),
                at.getHost(),
                at.getPort(),
                properties);
    }

    /** Whether this agent can import it; {@code confidential} when it has certificates. */
    public boolean suits(boolean confidential) {
        Object wanted = properties.getOrDefault("service.intents", List.of());
        List<?> intents = wanted instanceof List<?> list ? list : List.of(wanted);
        return texts(properties, "service.imported.configs").contains(CONFIG)
                && intents.stream().allMatch(INTENTS::contains)
                && (confidential || !intents.contains("osgi.confidential"));
    }

    /** How long a call may take. */
    public long timeoutMs() {
        Object said = properties.get(TIMEOUT);
        double seconds = said instanceof Number number ? number.doubleValue() : TIMEOUT_S;
        return (long) (Math.max(seconds, 0.001) * 1000);
    }

    /** The value of the endpoint's key. */
    public byte[] write() {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("version", 1);
        record.put("properties", properties);
        return Json.write(record).getBytes(StandardCharsets.UTF_8);
    }

    private static String text(Map<String, Object> properties, String name) {
        if (properties.get(name) instanceof String text && !text.isEmpty()) {
            return text;
        }
        throw new IllegalArgumentException("it has no " + name);
    }

    private static List<String> texts(Map<String, Object> properties, String name) {
        Object found = properties.get(name);
        List<?> list = found instanceof List<?> items ? items : found instanceof String ? List.of(found) : null;
        if (list == null || !list.stream().allMatch(String.class::isInstance)) {
            throw new IllegalArgumentException("its " + name + " is no list of names");
        }
        return list.stream().map(String.class::cast).toList();
    }
}
