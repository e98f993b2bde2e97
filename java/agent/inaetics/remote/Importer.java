package inaetics.remote;

import inaetics.basics.Log;
import inaetics.basics.Tls;
import java.io.Closeable;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Dictionary;
import java.util.HashMap;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceFactory;
import org.osgi.framework.ServiceRegistration;

/**
 * Makes services of other agents services of this framework.
 *
 * <p>What is announced is imported, unless its provider is dead; what is announced no more stays imported for as long
 * as its provider answers for it: an outage of etcd takes nothing away. Everything is decided on one thread.
 */
public final class Importer implements Closeable {
    private static final long PROBE_MS = 1000;

    private final BundleContext context;
    private final String me;
    private final Tls tls;
    private final Map<String, Known> known = new HashMap<>();
    private final Map<String, Peer> peers = new HashMap<>();
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(daemon("importer"));
    private final ExecutorService asking = Executors.newCachedThreadPool(daemon("importer asks"));
    private final Extender extender = new Extender();
    private volatile int imported;

    /** {@code me} is this framework's id; {@code tls} may be null. */
    public Importer(BundleContext context, String me, Tls tls) {
        this.context = context;
        this.me = me;
        this.tls = tls;
        thread.scheduleWithFixedDelay(guarded(this::askTheDoubtful), PROBE_MS, PROBE_MS, TimeUnit.MILLISECONDS);
    }

    /** Discovery says that a key is there ({@code value}) or gone (null). */
    public void announced(String key, byte[] value) {
        thread.execute(guarded(() -> learn(key, value)));
    }

    /** How many endpoints are imported. */
    public int imported() {
        return imported;
    }

    @Override
    public void close() {
        thread.shutdownNow();
        asking.shutdownNow();
        known.values().forEach(this::drop);
        peers.values().forEach(Peer::close);
    }

    private static final class Known {
        Description announced;
        Description imported;
        boolean asked;
        List<ServiceRegistration<?>> registrations = List.of();
    }

    private void learn(String key, byte[] value) {
        Description found = null;
        try {
            found = value == null ? null : Description.read(value);
        } catch (IllegalArgumentException error) {
            Log.warning("endpoint not understood", "key", key, "error", error.getMessage());
        }
        if (found != null && (found.framework().equals(me) || !found.suits(tls != null))) {
            return;
        }
        Known each = known.computeIfAbsent(key, new_ -> new Known());
        each.announced = found;
        if (found != null) {
            take(each, found);
        } else if (each.imported == null) {
            known.remove(key);
        } else {
            ask(key, each);
        }
    }

    private void askTheDoubtful() {
        known.forEach((key, each) -> {
            if ((each.announced == null) != (each.imported == null)) {
                ask(key, each);
            }
        });
    }

    private void suspect(String framework) {
        known.forEach((key, each) -> {
            if (each.imported != null && each.imported.framework().equals(framework)) {
                ask(key, each);
            }
        });
    }

    private void ask(String key, Known each) {
        if (each.asked) {
            return;
        }
        each.asked = true;
        Description about = each.imported != null ? each.imported : each.announced;
        Peer peer = peer(about);
        asking.execute(() -> {
            Peer.Presence presence = peer.probe(about.id(), PROBE_MS);
            thread.execute(guarded(() -> shown(key, presence)));
        });
    }

    private void shown(String key, Peer.Presence presence) {
        Known each = known.get(key);
        if (each == null) {
            return;
        }
        each.asked = false;
        if (each.announced != null) {
            if (presence == Peer.Presence.EXPORTED) {
                take(each, each.announced);
            } else if (presence == Peer.Presence.DEAD) {
                drop(each);
            }
        } else if (presence != Peer.Presence.EXPORTED) {
            drop(each);
            known.remove(key);
        }
    }

    private void take(Known each, Description found) {
        if (each.imported != null && each.imported.properties().equals(found.properties())) {
            return;
        }
        List<ServiceRegistration<?>> before = each.registrations;
        each.registrations = register(found, peer(found));
        each.imported = found;
        before.forEach(ServiceRegistration::unregister);
        imported += before.isEmpty() ? 1 : 0;
        Log.info("endpoint", "change", before.isEmpty() ? "found" : "changed", "interfaces", found.interfaces(), "at",
                found.address() + ":" + found.port());
    }

    private void drop(Known each) {
        if (each.imported == null) {
            return;
        }
        Log.info("endpoint", "change", "gone", "interfaces", each.imported.interfaces());
        Description last = each.imported;
        each.imported = null;
        imported--;
        List<ServiceRegistration<?>> gone = each.registrations;
        each.registrations = List.of();
        gone.forEach(registration -> {
            try {
                registration.unregister();
            } catch (IllegalStateException stopped) {
                Log.debug("service was gone already", "endpoint", last.id());
            }
        });
        if (known.values().stream().noneMatch(other -> other.imported != null && at(other.imported).equals(at(last)))) {
            Peer peer = peers.remove(at(last));
            if (peer != null) {
                peer.close();
            }
        }
    }

    private static String at(Description each) {
        return each.framework() + " " + each.address() + ":" + each.port();
    }

    private Peer peer(Description each) {
        Runnable gone = guarded(() -> suspect(each.framework()));
        return peers.computeIfAbsent(at(each), where -> new Peer(
                each.address(), each.port(), each.framework(), me, tls, () -> thread.execute(gone)));
    }

    /** One service an interface, so that a bundle needs to know only the interface it uses. */
    private List<ServiceRegistration<?>> register(Description found, Peer peer) {
        List<ServiceRegistration<?>> made = new ArrayList<>();
        Dictionary<String, Object> properties = new Hashtable<>();
        found.properties().forEach((name, value) -> {
            if (value != null && !name.equals("objectClass") && !name.equals("service.id")) {
                properties.put(name, value);
            }
        });
        properties.put("service.imported", true);
        for (String name : found.interfaces()) {
            made.add(context.registerService(name, extender.of(new Proxies(name, found, peer)), properties));
        }
        return made;
    }

    /** Makes a proxy for each bundle, of the interface as that bundle sees it. */
    private record Proxies(String name, Description found, Peer peer) implements ServiceFactory<Object> {
        @Override
        public Object getService(Bundle bundle, ServiceRegistration<Object> registration) {
            try {
                Class<?> type = bundle.loadClass(name);
                return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, new Caller(name, found, peer));
            } catch (ClassNotFoundException | IllegalArgumentException error) {
                Log.warning("a bundle asks for a remote service and has no such interface", "bundle",
                        bundle.getSymbolicName(), "interface", name, "error", String.valueOf(error.getMessage()));
                return null;
            }
        }

        @Override
        public void ungetService(Bundle bundle, ServiceRegistration<Object> registration, Object service) {}
    }

    private record Caller(String name, Description found, Peer peer) implements InvocationHandler {
        @Override
        public Object invoke(Object proxy, Method method, Object[] args) {
            if (method.getDeclaringClass() == Object.class) {
                return switch (method.getName()) {
                    case "equals" -> proxy == args[0];
                    case "hashCode" -> System.identityHashCode(proxy);
                    default -> "remote " + name + " at " + peer.where();
                };
            }
            String called = Names.onTheWire(method.getName());
            List<Object> given = args == null ? List.of() : java.util.Arrays.asList(args);
            if (method.getReturnType() == Future.class || method.getReturnType().isAssignableFrom(CompletableFuture.class)
                    && method.getReturnType() != Object.class) {
                return CompletableFuture.supplyAsync(() -> peer.call(found.id(), called, given, found.timeoutMs()));
            }
            Object answer = peer.call(found.id(), called, given, found.timeoutMs());
            try {
                return Convert.to(method.getGenericReturnType(), answer);
            } catch (IllegalArgumentException error) {
                throw Errors.unreachable(called, peer.where(), "its answer does not fit: " + error.getMessage());
            }
        }
    }

    private static Runnable guarded(Runnable work) {
        return () -> {
            try {
                work.run();
            } catch (RuntimeException error) {
                Log.bug("importer failed", error);
            }
        };
    }

    private static java.util.concurrent.ThreadFactory daemon(String name) {
        return work -> {
            Thread made = new Thread(work, name);
            made.setDaemon(true);
            return made;
        };
    }
}
