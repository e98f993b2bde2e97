package inaetics.agent;

import inaetics.basics.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What provisioning says this agent shall run; fields it has beside these are ignored. */
record Deployment(String version, List<Item> bundles, double withinS, String text) {
    /** One bundle. {@code url} is relative to the server; {@code certificate} is null when nobody signed it. */
    record Item(String name, String version, String sha256, String url, long size, String certificate, String signature) {
        String key() {
            return name + "-" + version;
        }
    }

    /** That of whom nothing was given yet. */
    static final Deployment NONE = new Deployment("", List.of(), 0, "");

    private static final double WITHIN_S = 20;
    private static final double MOST_WITHIN_S = 600;
    private static final long USUAL = 16L * 1024 * 1024;

    /** Reads the JSON of {@code GET /deployments/TARGET}. Throws {@link IllegalArgumentException}. */
    static Deployment read(String text) {
        Map<String, Object> json = Json.readObject(text);
        List<Item> bundles = new ArrayList<>();
        if (json.getOrDefault("bundles", List.of()) instanceof List<?> items) {
            for (Object item : items) {
                bundles.add(item((Map<?, ?>) item));
            }
        }
        double within = json.get("within_s") instanceof Number number ? number.doubleValue() : WITHIN_S;
        return new Deployment(text(json, "version", ".{1,120}"), bundles, within, text);
    }

    /** The hashes of its bundles, by {@code name@version}. */
    Map<String, String> hashes() {
        Map<String, String> found = new TreeMap<>();
        bundles.forEach(each -> found.put(each.name() + "@" + each.version(), each.sha256()));
        return found;
    }

    /** The version of the mapping that it came from; 0 when it does not say. */
    long counter() {
        String number = version.split("-", 2)[0];
        return number.matches("[0-9]{1,18}") ? Long.parseLong(number) : 0;
    }

    /** How long a bundle may take to start, within reason. */
    double startS() {
        return Math.min(Math.max(withinS, 0.1), MOST_WITHIN_S);
    }

    private static Item item(Map<?, ?> json) {
        Map<?, ?> signature = json.get("signature") instanceof Map<?, ?> found ? found : Map.of();
        return new Item(
                text(json, "name", "[a-z][a-z0-9_]{0,62}"), // it becomes a file's name
                text(json, "version", "[0-9]{1,9}(\\.[0-9]{1,9}){1,3}"),
                text(json, "sha256", "[0-9a-f]{64}"),
                text(json, "url", ".+"),
                json.get("size") instanceof Long size ? size : USUAL,
                signature.get("certificate") instanceof String pem ? pem : null,
                signature.get("value") instanceof String value ? value : "");
    }

    private static String text(Map<?, ?> json, String name, String form) {
        if (json.get(name) instanceof String text && text.matches(form)) {
            return text;
        }
        throw new IllegalArgumentException("a deployment's " + name + " cannot be " + json.get(name));
    }
}
