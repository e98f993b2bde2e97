package inaetics.agent;

import java.util.Dictionary;
import java.util.Hashtable;
import java.util.Map;
import org.osgi.framework.BundleContext;

/** The agent's own command in Gogo's shell, beside Gogo's {@code lb}, {@code inspect}, {@code help}: {@code agent:status}. */
public final class Shell {
    private final Health health;

    private Shell(Health health) {
        this.health = health;
    }

    static void register(BundleContext context, Health health) {
        Dictionary<String, Object> properties = new Hashtable<>();
        properties.put("osgi.command.scope", "agent");
        properties.put("osgi.command.function", new String[] {"status"});
        context.registerService(Shell.class.getName(), new Shell(health), properties);
    }

    /** How the agent is: deployment, bundles, remote services. Gogo calls it. */
    public void status() {
        for (Map.Entry<String, Object> each : health.look().entrySet()) {
            System.out.printf("%-16s %s%n", each.getKey(), each.getValue());
        }
    }
}
