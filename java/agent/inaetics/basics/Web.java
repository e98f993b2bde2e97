package inaetics.basics;

import java.net.http.HttpClient;
import java.time.Duration;
import javax.net.ssl.SSLContext;

/** HTTP with the certificates of now: a client of the JDK keeps those that it was made with. Safe from any thread. */
public final class Web {
    private final HttpClient.Version version;
    private final Duration connect;
    private final Tls tls;
    private HttpClient client;
    private SSLContext context;

    /** {@code connect} is how long a connection may take to be made; {@code tls} may be null: then http only. */
    public Web(HttpClient.Version version, Duration connect, Tls tls) {
        this.version = version;
        this.connect = connect;
        this.tls = tls;
    }

    /** For the next request. A request under way stays on the connection that it has. */
    public synchronized HttpClient client() {
        SSLContext now = tls == null ? null : tls.context();
        if (client == null || now != context) {
            HttpClient.Builder builder = HttpClient.newBuilder().version(version).connectTimeout(connect);
            client = (now == null ? builder : builder.sslContext(now)).build();
            context = now;
        }
        return client;
    }

    /** The next request goes over a new connection. */
    public synchronized void anew() {
        client = null;
    }
}
