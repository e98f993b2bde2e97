package inaetics.remote;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** One exported service: its methods by name, and which calls of it are under way. */
public final class Endpoint {
    /** A method there is not, or not for others. */
    static final class NoMethod extends Exception {
        private static final long serialVersionUID = 1;

        NoMethod(String message) {
            super(message);
        }
    }

    private final Object service;
    private final Map<String, Method> methods = new HashMap<>();
    private final Set<Object> underWay = Collections.newSetFromMap(new IdentityHashMap<>()); // equal calls are two
    private boolean withdrawn;

    /** Methods of {@code interfaces} may be called, unless their name begins with an underscore. */
    public Endpoint(Object service, Collection<Class<?>> interfaces) {
        this.service = service;
        for (Class<?> each : interfaces) {
            for (Method method : each.getMethods()) {
                if (method.getDeclaringClass() != Object.class && !Modifier.isStatic(method.getModifiers())) {
                    method.setAccessible(true);
                    methods.put(method.getName(), method);
                    methods.put(Names.onTheWire(method.getName()), method);
                }
            }
        }
    }

    /** A call came in and is under way until {@link #end}; false when it came too late. */
    synchronized boolean begin(Object call) {
        return !withdrawn && underWay.add(call);
    }

    /** A call was answered. */
    synchronized void end(Object call) {
        underWay.remove(call);
        notifyAll();
    }

    /** Takes no more calls. */
    synchronized void withdraw() {
        withdrawn = true;
    }

    /** Waits for the calls under way until {@code end} (as {@code System.nanoTime}); returns how many are left. */
    synchronized int drain(long end) throws InterruptedException {
        while (!underWay.isEmpty() && end - System.nanoTime() > 0) {
            TimeUnit.NANOSECONDS.timedWait(this, end - System.nanoTime());
        }
        return underWay.size();
    }

    /** Calls; throws what the service throws. */
    Object call(String name, List<?> args, Map<?, ?> kwargs) throws Throwable {
        Method method = name.startsWith("_") ? null : methods.get(name);
        if (method == null) {
            throw new NoMethod("the service has no method " + name);
        }
        if (!kwargs.isEmpty()) {
            throw new NoMethod("a Java service takes no arguments by name: give " + kwargs.keySet() + " by position");
        }
        Type[] types = method.getGenericParameterTypes();
        if (types.length != args.size()) {
            throw new IllegalArgumentException(
                    name + " takes " + types.length + " arguments, " + args.size() + " were given");
        }
        Object[] given = new Object[types.length];
        for (int i = 0; i < given.length; i++) {
            given[i] = Convert.to(types[i], args.get(i));
        }
        try {
            return method.invoke(service, given);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }
}
