package inaetics.agent;

import inaetics.basics.Json;
import java.util.Map;

/** What the agent thinks of a deployment, for the vectors. */
public final class Verdicts {
    private Verdicts() {}

    /** As the vectors say it: taken, older, newer or false. */
    public static String of(Map<?, ?> record, Map<?, ?> deployment, String target) {
        Version version = Version.read(Json.write(record));
        Deployment given = Deployment.read(Json.write(deployment));
        boolean fits = InForce.differs(given, target, version).isEmpty();
        if (given.counter() != version.number()) {
            return fits ? "taken" : given.counter() < version.number() ? "older" : "newer";
        }
        return fits ? "taken" : "false";
    }
}
