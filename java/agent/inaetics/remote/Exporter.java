package inaetics.remote;

import inaetics.basics.Log;
import inaetics.etcd.Etcd;
import java.io.Closeable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.WeakHashMap;
import org.osgi.framework.AllServiceListener;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceEvent;
import org.osgi.framework.ServiceReference;

/** Offers services with the property {@code service.exported.interfaces} to all other agents, and announces them. */
public final class Exporter implements Closeable {
    public static final String PREFIX = "/inaetics/discovery/";
    private static final String EXPORTED = "service.exported.interfaces";
    private static final String CONFIGS = "service.exported.configs";

    private final BundleContext context;
    private final String me;
    private final String agent;
    private final String at;
    private final Server server;
    private final Announcer announcer;
    private final Map<ServiceReference<?>, String> exports = new HashMap<>();
    private final Successors successors = new Successors();
    private final Set<Bundle> leaving = Collections.newSetFromMap(new WeakHashMap<>());
    private final AllServiceListener listener = this::changed;

    /** {@code at} is the address of {@code server}; {@code agent} the target id that importers see. */
    public Exporter(BundleContext context, Etcd etcd, Server server, String me, String agent, String at) {
        this.context = context;
        this.me = me;
        this.agent = agent;
        this.at = at;
        this.server = server;
        announcer = new Announcer(etcd, PREFIX + me + "/");
        server.heirs(successors::of);
        try {
            context.addServiceListener(listener, "(" + EXPORTED + "=*)");
            ServiceReference<?>[] there = context.getAllServiceReferences(null, "(" + EXPORTED + "=*)");
            for (ServiceReference<?> each : there == null ? new ServiceReference<?>[0] : there) {
                export(each);
            }
        } catch (InvalidSyntaxException error) {
            throw new IllegalStateException(error);
        }
    }

    /**
     * Withdraws what a bundle exports, for good, and waits so long for the calls that came in before to be answered.
     * Later ones go to the services that took their place, if there are any.
     */
    public void leave(Bundle bundle, long withinMs) throws InterruptedException {
        long end = System.nanoTime() + withinMs * 1_000_000L;
        int left = 0;
        for (Endpoint each : withdrawAll(bundle)) {
            left += each.drain(end);
        }
        if (left > 0) {
            Log.warning("bundle goes with calls under way", "bundle", bundle.getSymbolicName(), "calls", left);
        }
    }

    @Override
    public void close() {
        context.removeServiceListener(listener);
        announcer.close();
    }

    private synchronized void changed(ServiceEvent event) {
        ServiceReference<?> reference = event.getServiceReference();
        switch (event.getType()) {
            case ServiceEvent.REGISTERED -> export(reference);
            case ServiceEvent.MODIFIED -> {
                if (exports.containsKey(reference)) {
                    announce(reference, exports.get(reference));
                } else {
                    export(reference);
                }
            }
            default -> withdraw(reference);
        }
    }

    private synchronized void export(ServiceReference<?> reference) {
        if (exports.containsKey(reference) || reference.getProperty("service.imported") != null || !ours(reference)) {
            return;
        }
        if (leaving.contains(reference.getBundle())) {
            return;
        }
        Object service = context.getService(reference);
        if (service == null) {
            return;
        }
        List<Class<?>> interfaces = new ArrayList<>();
        for (String name : interfaces(reference)) {
            try {
                interfaces.add(reference.getBundle().loadClass(name));
            } catch (ClassNotFoundException error) {
                Log.error("cannot export a service: its bundle has no such interface", "bundle",
                        reference.getBundle().getSymbolicName(), "interface", name);
            }
        }
        if (interfaces.isEmpty()) {
            return;
        }
        String id = UUID.randomUUID().toString();
        exports.put(reference, id);
        server.add(id, new Endpoint(service, interfaces));
        successors.comes(id, role(reference, service), reference.getBundle().getBundleId());
        announce(reference, id);
        Log.info("exported", "interfaces", interfaces(reference), "endpoint", id);
    }

    private synchronized void withdraw(ServiceReference<?> reference) {
        String id = exports.remove(reference);
        if (id != null) {
            withdraw(id);
            context.ungetService(reference);
        }
    }

    private Endpoint withdraw(String id) {
        successors.leaves(id);
        announcer.set(id, null);
        return server.remove(id);
    }

    /** The services stay in use here while they are called: the framework ends that when the bundle unregisters them. */
    private synchronized List<Endpoint> withdrawAll(Bundle bundle) {
        leaving.add(bundle);
        List<Endpoint> withdrawn = new ArrayList<>();
        for (ServiceReference<?> each : List.copyOf(exports.keySet())) {
            if (bundle.equals(each.getBundle())) {
                withdrawn.add(withdraw(exports.remove(each)));
            }
        }
        return withdrawn;
    }

    private void announce(ServiceReference<?> reference, String id) {
        Map<String, Object> properties = new LinkedHashMap<>();
        for (String name : reference.getPropertyKeys()) {
            if (!name.startsWith("service.exported.") && !name.equals("service.bundleid") && !name.equals("service.scope")) {
                Object value = reference.getProperty(name);
                properties.put(name, value instanceof Object[] items ? List.of(items) : value);
            }
        }
        properties.put("objectClass", interfaces(reference));
        properties.put("endpoint.id", id);
        properties.put("endpoint.framework.uuid", me);
        properties.put("endpoint.service.id", reference.getProperty(Constants.SERVICE_ID));
        properties.put("service.imported", true);
        properties.put("service.imported.configs", List.of(Description.CONFIG));
        properties.put("remote.configs.supported", List.of(Description.CONFIG));
        properties.put("remote.intents.supported", Description.INTENTS);
        properties.putIfAbsent("service.intents", List.of());
        properties.put("ecf.endpoint.id", "inaetics://" + at);
        properties.put("ecf.endpoint.id.ns", Description.NAMESPACE);
        properties.put("ecf.rsvc.id", reference.getProperty(Constants.SERVICE_ID));
        properties.put("ecf.endpoint.ts", System.currentTimeMillis());
        properties.put("inaetics.agent", agent);
        announcer.set(id, new Description(id, me, interfaces(reference), "", 0, properties).write());
    }

    private static Successors.Role role(ServiceReference<?> reference, Object service) {
        String type = service.getClass().getName().replaceAll("\\$\\$Lambda.*", ""); // what follows differs every time
        List<String> offered = interfaces(reference).stream().sorted().toList();
        return new Successors.Role(reference.getBundle().getSymbolicName(), offered,
                type + " " + reference.getProperty(Constants.SERVICE_PID));
    }

    private static boolean ours(ServiceReference<?> reference) {
        List<String> wanted = texts(reference.getProperty(CONFIGS));
        return wanted.isEmpty() || wanted.contains(Description.CONFIG);
    }

    private static List<String> interfaces(ServiceReference<?> reference) {
        List<String> all = texts(reference.getProperty(Constants.OBJECTCLASS));
        List<String> wanted = texts(reference.getProperty(EXPORTED));
        return wanted.contains("*") ? all : all.stream().filter(wanted::contains).toList();
    }

    private static List<String> texts(Object value) {
        if (value instanceof String[] items) {
            return Arrays.asList(items);
        }
        if (value instanceof Collection<?> items) {
            return items.stream().map(String::valueOf).toList();
        }
        return value == null ? List.of() : List.of(value.toString());
    }
}
