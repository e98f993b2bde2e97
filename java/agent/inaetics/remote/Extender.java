package inaetics.remote;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleReference;
import org.osgi.framework.ServiceFactory;

/**
 * Lets Felix show a service to every bundle that asks for its interface, whichever class of that name the bundle has.
 *
 * <p>Felix hides a service from a bundle whose interface is another class than the provider's. It makes an exception for
 * service factories that come from another bundle than the one that registers them (it takes that for an extender, which
 * knows what it does). Ours come from no bundle at all, so they are made here by a class loader that says they do.
 */
final class Extender extends ClassLoader implements BundleReference {
    private static final Bundle NO_OTHER = (Bundle) Proxy.newProxyInstance(
            Extender.class.getClassLoader(),
            new Class<?>[] {Bundle.class},
            (proxy, method, arguments) -> switch (method.getName()) {
                case "equals" -> proxy == arguments[0];
                case "hashCode" -> 0;
                case "toString" -> "remote services";
                default -> throw new UnsupportedOperationException(method.getName());
            });

    Extender() {
        super(Extender.class.getClassLoader());
    }

    @Override
    public Bundle getBundle() {
        return NO_OTHER;
    }

    /** The same factory, as one that comes from another bundle. */
    ServiceFactory<?> of(ServiceFactory<?> factory) {
        return (ServiceFactory<?>) Proxy.newProxyInstance(
                this, new Class<?>[] {ServiceFactory.class}, (proxy, method, arguments) -> {
                    try {
                        return method.invoke(factory, arguments);
                    } catch (InvocationTargetException error) {
                        throw error.getCause();
                    }
                });
    }
}
