package inaetics.agent;

import inaetics.basics.Json;
import inaetics.basics.Log;
import inaetics.basics.Tls;
import inaetics.basics.Web;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/**
 * Where provisioning servers are, and what they answer. A question to a server that went away is given up.
 *
 * <p>Every host of the cluster may register one, so a registration is a hint and no more: what cannot be an address is
 * left out, what has no TLS is not asked by who has certificates, and many of one host keep nobody from the others.
 */
final class Provisioning {
    static final String PREFIX = "/inaetics/node-provisioning-service/";
    private static final Duration CONNECT = Duration.ofSeconds(3);
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final double ANSWER_S = 20;
    private static final double FETCH_S = 120;
    private static final long MOST = 4 * 1024 * 1024;
    private static final long LARGEST = Runtime.getRuntime().maxMemory() / 4;

    private final String target;
    private final String where;
    private final String own;
    private final boolean certificates;
    private final Web web;
    private final Map<String, String> servers = new TreeMap<>();
    private CompletableFuture<?> asking;
    private String asked = "";
    private boolean question;

    /** {@code where} is for people: our host; {@code own} is its address. */
    Provisioning(String target, String where, String own, Tls tls) {
        this.target = target;
        this.where = where;
        this.own = own;
        this.certificates = tls != null;
        this.web = new Web(HttpClient.Version.HTTP_1_1, CONNECT, tls);
    }

    /** A server's key in etcd is there ({@code value}) or gone (null). */
    synchronized void announced(String key, byte[] value) {
        String url = value == null ? null : url(value);
        if (url == null) {
            servers.remove(key);
        } else {
            servers.put(key, url);
        }
        Log.info("provisioning servers", "urls", servers.values());
        if (asking != null && !servers.containsValue(asked)) {
            asking.cancel(true);
        }
        notifyAll();
    }

    /**
     * The servers to ask now: {@code first} if it is there, then one of each host, that of our own first and the others
     * as drawn; then the second of each host, and so on.
     */
    List<String> inTurn(String first) {
        List<String> drawn;
        synchronized (this) {
            drawn = new ArrayList<>(servers.values());
        }
        Collections.shuffle(drawn);
        Map<String, Integer> before = new HashMap<>();
        Map<String, Integer> turns = new HashMap<>();
        for (String url : drawn) {
            turns.putIfAbsent(url, before.merge(URI.create(url).getHost(), 1, Integer::sum));
        }
        return drawn.stream()
                .distinct()
                .sorted(Comparator.comparing((String url) -> !url.equals(first))
                        .thenComparing(turns::get)
                        .thenComparing(url -> !URI.create(url).getHost().equals(own)))
                .toList();
    }

    /** Breaks off a question for news, so that another server can be asked; a download goes on. */
    synchronized void giveUpQuestion() {
        if (asking != null && question) {
            asking.cancel(true);
        }
    }

    /** Waits so long, or until servers come or go. */
    synchronized void await(long ms) throws InterruptedException {
        wait(ms);
    }

    /** The deployment once its version is not {@code after}; null when that is not so within {@code holdS} seconds. */
    Deployment deployment(String server, String after, String running, String error, double holdS)
            throws IOException, InterruptedException {
        Map<String, String> query = new LinkedHashMap<>();
        query.put("after", after);
        query.put("wait_s", String.valueOf(holdS));
        query.put("running", running);
        query.put("error", error.substring(0, Math.min(error.length(), 1000)));
        query.put("where", where);
        HttpRequest.Builder request = request(server, "/deployments/" + encoded(target) + "?" + query(query))
                .timeout(TIMEOUT.plusMillis((long) (holdS * 1000)));
        byte[] body = ask(server, request.GET(), MOST, holdS + ANSWER_S);
        try {
            return body == null ? null : Deployment.read(new String(body, StandardCharsets.UTF_8));
        } catch (IllegalArgumentException | ClassCastException unknown) {
            throw new IOException("the provisioning server at " + server + " answers what we do not know: " + unknown, unknown);
        }
    }

    /** Downloads a bundle's archive, unchecked. Throws {@link IllegalArgumentException} for one that is too large. */
    byte[] fetch(String server, Deployment.Item item) throws IOException, InterruptedException {
        if (item.size() > LARGEST) {
            throw new IllegalArgumentException("bundle " + item.key() + " has " + item.size() + " bytes, and this agent takes "
                    + LARGEST + " (a quarter of its memory: INAETICS_HEAP)");
        }
        HttpRequest.Builder request = request(server, "/" + item.url().replaceFirst("^/+", "")).timeout(TIMEOUT).GET();
        byte[] body = ask(server, request, item.size(), FETCH_S);
        if (body == null) {
            throw new IOException("the provisioning server at " + server + " does not send " + item.key());
        }
        return body;
    }

    /** Says what came of a deployment. A server that takes no reports is no trouble. */
    void report(String server, Map<String, Object> report) throws IOException, InterruptedException {
        String path = "/reports/" + encoded(target) + "?" + query(Map.of("where", where));
        ask(server, request(server, path)
                .timeout(TIMEOUT)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(Json.write(report))), MOST, ANSWER_S);
    }

    /** At most so many bytes, within so many seconds: the server may be anybody's. */
    private byte[] ask(String server, HttpRequest.Builder request, long most, double withinS)
            throws IOException, InterruptedException {
        CompletableFuture<HttpResponse<byte[]>> answer;
        synchronized (this) {
            answer = web.client().sendAsync(request.build(), head -> new Bounded(most));
            asking = answer;
            asked = server;
            question = request.build().uri().getPath().startsWith("/deployments/");
        }
        try {
            HttpResponse<byte[]> found = answer.get((long) (withinS * 1000), TimeUnit.MILLISECONDS);
            boolean told = found.request().method().equals("POST") && found.statusCode() / 100 == 4;
            if (found.statusCode() == 204 || found.statusCode() == 304 || told) {
                return null;
            }
            if (found.statusCode() != 200) {
                String words = new String(found.body(), StandardCharsets.UTF_8);
                throw new IOException("the provisioning server at " + server + " answers " + found.statusCode() + ": "
                        + words.substring(0, Math.min(words.length(), 300)));
            }
            return found.body();
        } catch (TimeoutException late) {
            answer.cancel(true);
            throw new IOException("the provisioning server at " + server + " does not answer within " + withinS + " s", late);
        } catch (ExecutionException | java.util.concurrent.CancellationException error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            throw new IOException("the provisioning server at " + server + " does not answer: " + cause, cause);
        } finally {
            synchronized (this) {
                asking = null;
            }
        }
    }

    private String url(byte[] value) {
        try {
            Map<String, Object> found = Json.readObject(new String(value, StandardCharsets.UTF_8));
            String agents = String.valueOf(found.getOrDefault("agents_url", ""));
            boolean usable = !agents.isEmpty() && (certificates || !agents.startsWith("https:"));
            String url = usable ? agents : (String) found.get("url");
            URI address = URI.create(url);
            boolean web = "https".equals(address.getScheme()) || "http".equals(address.getScheme());
            if (!web || address.getHost() == null || address.getPort() < 1 || address.getPort() > 65535) {
                Log.warning("registration not understood", "error", url + " is no http(s)://HOST:PORT");
                return null;
            }
            if (certificates && !url.startsWith("https:")) {
                Log.warning("provisioning server left alone, it has no TLS and this agent has certificates", "url", url);
                return null;
            }
            return url;
        } catch (IllegalArgumentException | ClassCastException | NullPointerException error) {
            Log.warning("registration not understood", "error", String.valueOf(error.getMessage()));
            return null;
        }
    }

    private static HttpRequest.Builder request(String server, String path) {
        return HttpRequest.newBuilder(URI.create(server.replaceFirst("/+$", "") + path));
    }

    private static String query(Map<String, String> query) {
        return query.entrySet().stream()
                .filter(each -> !each.getValue().isEmpty())
                .map(each -> each.getKey() + "=" + encoded(each.getValue()))
                .collect(Collectors.joining("&"));
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
