package inaetics.remote;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One exported service: its methods by name, and how often they were called. */
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
