package inaetics.remote;

import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Who answers a call for a service that was given up: its successor in this agent.
 *
 * <p>A new version of a bundle exports its services before the old ones go, under endpoints of their own. Callers learn
 * of both some milliseconds later, and until then call the old endpoint. A successor comes from a bundle of the same
 * name and offers the same interfaces; where a bundle offers several such services, it is of the same class (and
 * {@code service.pid}). Where more than one fits there is none: a call must not reach another service than it meant.
 */
final class Successors {
    /** What a service is, whichever version of its bundle it comes from; {@code part} is its class and pid. */
    record Role(String bundle, List<String> interfaces, String part) {
        boolean near(Role other) {
            return bundle.equals(other.bundle) && interfaces.equals(other.interfaces);
        }
    }

    private record Present(Role role, long bundleId) {}

    /** While etcd is away an importer goes on calling an old endpoint for as long; the latest ones are remembered. */
    private static final int MOST = 10_000;

    private final Map<String, Present> there = new HashMap<>();
    private final Map<String, Role> gone = new LinkedHashMap<>();

    /** An endpoint may be called. The bundle with the highest id is the newest. */
    synchronized void comes(String endpoint, Role role, long bundleId) {
        there.put(endpoint, new Present(role, bundleId));
    }

    /** An endpoint is about to go. Say it before it is gone: calls come all the time. */
    synchronized void leaves(String endpoint) {
        Present left = there.remove(endpoint);
        if (left != null) {
            gone.put(endpoint, left.role);
        }
        if (gone.size() > MOST) {
            gone.remove(gone.keySet().iterator().next());
        }
    }

    /** The endpoint that took the role of one that left; null when there is none. */
    synchronized String of(String endpoint) {
        Role role = gone.get(endpoint);
        if (role == null) {
            return null;
        }
        List<Map.Entry<String, Present>> fitting =
                there.entrySet().stream().filter(each -> each.getValue().role.near(role)).toList();
        long newest = fitting.stream().map(each -> each.getValue().bundleId).max(Comparator.naturalOrder()).orElse(-1L);
        List<Map.Entry<String, Present>> near =
                fitting.stream().filter(each -> each.getValue().bundleId == newest).toList();
        List<Map.Entry<String, Present>> same =
                near.stream().filter(each -> each.getValue().role.part.equals(role.part)).toList();
        List<Map.Entry<String, Present>> found = same.isEmpty() ? near : same;
        return found.size() == 1 ? found.get(0).getKey() : null;
    }
}
