package inaetics.agent;

import inaetics.basics.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A version of the mapping as its record in etcd says it: what every target gets, to the byte. Bundles are named
 * {@code name@version}.
 *
 * @param rules in order; null in records of older software, which say nothing of archives either
 * @param metadata of targets
 * @param archives the hash of every bundle of the rules
 * @param held who gets something else than the rules say
 */
record Version(
        long number,
        double withinS,
        List<Rule> rules,
        Map<?, ?> metadata,
        Map<?, ?> archives,
        Map<String, Gift> held) {
    /** Targets that fit a glob, and for each key of {@code where} have one of the values. */
    record Rule(String target, Map<?, ?> where, List<?> bundles) {
        boolean fits(String name, Map<?, ?> metadata) {
            return Glob.fits(target, name) && where.entrySet().stream()
                    .allMatch(each -> ((List<?>) each.getValue()).contains(metadata.get(each.getKey())));
        }
    }

    private record Gift(List<?> bundles, Map<?, ?> archives) {}

    private static final double WITHIN_S = 20;

    /** Throws {@link IllegalArgumentException} for what is none, or names no archive of a bundle that it gives. */
    static Version read(String text) {
        try {
            Map<String, Object> json = Json.readObject(text);
            long number = (Long) json.get("version");
            Map<?, ?> archives = map(json, "archives");
            List<Rule> rules = null;
            if (json.get("rules") != null) {
                rules = new ArrayList<>();
                for (Object each : (List<?>) json.get("rules")) {
                    Map<?, ?> rule = (Map<?, ?>) each;
                    Map<?, ?> where = map(rule, "where");
                    where.values().forEach(List.class::cast);
                    rules.add(new Rule(text(rule, "target"), where, gift(number, rule, archives).bundles));
                }
            }
            Map<String, Gift> held = new TreeMap<>();
            for (Map.Entry<?, ?> each : map(json, "held").entrySet()) {
                Map<?, ?> value = (Map<?, ?>) each.getValue();
                held.put((String) each.getKey(), rules == null ? null : gift(number, value, map(value, "archives")));
            }
            Map<?, ?> metadata = map(json, "metadata");
            metadata.values().forEach(Map.class::cast);
            double within = json.get("within_s") instanceof Number given ? given.doubleValue() : WITHIN_S;
            return new Version(number, within, rules, metadata, archives, held);
        } catch (ClassCastException | NullPointerException error) {
            throw new IllegalArgumentException("the record of a version of the mapping cannot be read: " + error, error);
        }
    }

    /** What a target gets: hashes of bundles. Of a version that has rules. */
    Map<String, String> given(String target) {
        Gift gift = held.get(target);
        if (gift == null) {
            Map<?, ?> facts = metadata.get(target) instanceof Map<?, ?> found ? found : Map.of();
            List<?> bundles = rules.stream().filter(rule -> rule.fits(target, facts)).findFirst().<List<?>>map(Rule::bundles)
                    .orElse(List.of());
            gift = new Gift(bundles, archives);
        }
        Map<String, String> found = new TreeMap<>();
        for (Object key : gift.bundles) {
            found.put((String) key, (String) gift.archives.get(key));
        }
        return found;
    }

    private static Gift gift(long number, Map<?, ?> json, Map<?, ?> archives) {
        List<?> bundles = json.get("bundles") == null ? List.of() : (List<?>) json.get("bundles");
        for (Object key : bundles) {
            if (!(archives.get((String) key) instanceof String)) {
                throw new IllegalArgumentException("the record of version " + number + " names no archive of " + key);
            }
        }
        return new Gift(bundles, archives);
    }

    private static Map<?, ?> map(Map<?, ?> json, String name) {
        return json.get(name) == null ? Map.of() : (Map<?, ?>) json.get(name);
    }

    private static String text(Map<?, ?> json, String name) {
        return java.util.Objects.requireNonNull((String) json.get(name));
    }
}
