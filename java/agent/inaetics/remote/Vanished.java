package inaetics.remote;

import inaetics.basics.Log;
import java.io.FileDescriptor;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.Socket;
import java.net.SocketImpl;
import java.util.concurrent.atomic.AtomicBoolean;
import jdk.net.ExtendedSocketOptions;

/**
 * Lets the kernel notice within ten seconds that the machine at the other end is gone: keep-alive while nothing is under
 * way, and a time limit for what is sent and not acknowledged, which keep-alive does not look at.
 *
 * <p>The JDK has no name for the second (TCP_USER_TIMEOUT), only the native method below its other options: run-agent
 * opens the two packages. Where that fails the connection is as good as keep-alive makes it.
 */
final class Vanished {
    static final int UNACKNOWLEDGED_MS = 10_000;
    private static final int IDLE_S = 5;
    private static final int INTERVAL_S = 2;
    private static final int PROBES = 3;
    private static final int IPPROTO_TCP = 6;
    private static final int TCP_USER_TIMEOUT = 18;
    private static final AtomicBoolean SAID = new AtomicBoolean();

    private Vanished() {}

    static void notice(Socket wire) throws IOException {
        wire.setKeepAlive(true);
        wire.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, IDLE_S);
        wire.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, INTERVAL_S);
        wire.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, PROBES);
        try {
            Method set = net("setIntOption0", FileDescriptor.class, boolean.class, int.class, int.class, int.class, boolean.class);
            set.invoke(null, descriptor(wire), false, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS, false);
        } catch (InvocationTargetException error) {
            throw new IOException(error.getCause());
        } catch (ReflectiveOperationException | RuntimeException error) {
            if (!SAID.getAndSet(true)) {
                Log.warning("a machine that goes while it is sent to is noticed late", "reason", error.toString());
            }
        }
    }

    /** What the kernel has for unacknowledged data, in milliseconds. */
    static int unacknowledgedMs(Socket wire) throws ReflectiveOperationException {
        Method get = net("getIntOption0", FileDescriptor.class, boolean.class, int.class, int.class);
        return (int) get.invoke(null, descriptor(wire), false, IPPROTO_TCP, TCP_USER_TIMEOUT);
    }

    private static Method net(String name, Class<?>... parameters) throws ReflectiveOperationException {
        Method found = Class.forName("sun.nio.ch.Net").getDeclaredMethod(name, parameters);
        found.setAccessible(true);
        return found;
    }

    private static FileDescriptor descriptor(Socket wire) throws ReflectiveOperationException {
        Field impl = Socket.class.getDeclaredField("impl");
        impl.setAccessible(true);
        Method descriptor = SocketImpl.class.getDeclaredMethod("getFileDescriptor");
        descriptor.setAccessible(true);
        return (FileDescriptor) descriptor.invoke(impl.get(wire));
    }
}
