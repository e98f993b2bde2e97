package inaetics.agent;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * What the agent is told by its environment, as the Python agents are: the unit's {@code Environment=}, and mounts.
 *
 * @param agent target id ({@code java@1}). From INAETICS_AGENT
 * @param address the host's, where everything listens. From INAETICS_ADDRESS
 * @param host the host's name. From INAETICS_HOST
 * @param etcd URLs. From INAETICS_ETCD_ENDPOINTS, separated by commas
 * @param pagePort health and metrics. From INAETICS_PAGE_PORT, else 8080
 * @param shellPort Gogo's shell. From INAETICS_SHELL_PORT, else 2019
 * @param tls directory with ca.pem, cert.pem and key.pem, or null. From INAETICS_TLS_DIR, else /run/inaetics/tls
 * @param data a directory of the agent's own, below INAETICS_DATA
 */
record Settings(
        String agent,
        String address,
        String host,
        List<String> etcd,
        int pagePort,
        int shellPort,
        Path tls,
        Path data) {
    private static final String TLS = "/run/inaetics/tls";
    private static final String DATA = "/var/lib/inaetics";

    /** Throws {@link IllegalArgumentException} that names the variable that is missing or wrong. */
    static Settings read(Map<String, String> environment) {
        String agent = needed(environment, "INAETICS_AGENT");
        if (agent.contains("/") || agent.equals(".") || agent.equals("..")) {
            throw new IllegalArgumentException(
                    "INAETICS_AGENT is '" + agent + "': a target id such as java@1 has no '/'");
        }
        String tls = environment.getOrDefault("INAETICS_TLS_DIR", "");
        Path directory = Path.of(tls.isEmpty() ? TLS : tls);
        List<String> etcd = Arrays.stream(needed(environment, "INAETICS_ETCD_ENDPOINTS").split(","))
                .filter(each -> !each.isBlank())
                .toList();
        return new Settings(
                agent,
                address(needed(environment, "INAETICS_ADDRESS")),
                environment.getOrDefault("INAETICS_HOST", ""),
                etcd,
                port(environment, "INAETICS_PAGE_PORT", 8080),
                port(environment, "INAETICS_SHELL_PORT", 2019),
                Files.isDirectory(directory) ? directory : null,
                Path.of(environment.getOrDefault("INAETICS_DATA", DATA), agent));
    }

    /** Whose signatures of bundles count; null where nobody said so. */
    Path signers() {
        Path file = tls == null ? null : tls.resolve("signers.pem");
        return file != null && Files.exists(file) ? file : null;
    }

    /** Where the shell listens: it asks nobody who they are. The host's address where that is a loopback one. */
    String shellAddress() {
        try {
            return InetAddress.getByName(address).isLoopbackAddress() ? address : "127.0.0.1";
        } catch (UnknownHostException impossible) {
            return "127.0.0.1";
        }
    }

    private static String needed(Map<String, String> environment, String name) {
        String value = environment.getOrDefault(name, "");
        if (value.isEmpty()) {
            throw new IllegalArgumentException(
                    "the variable " + name + " is not set (the unit file sets it: Environment=" + name + "=…)");
        }
        return value;
    }

    private static String address(String text) {
        if (!text.matches("[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")) {
            throw new IllegalArgumentException("INAETICS_ADDRESS is '" + text + "': it must be this host's IP address");
        }
        return text;
    }

    private static int port(Map<String, String> environment, String name, int otherwise) {
        String text = environment.getOrDefault(name, "");
        if (text.isEmpty()) {
            return otherwise;
        }
        if (!text.matches("[0-9]{1,5}") || Integer.parseInt(text) > 65535) {
            throw new IllegalArgumentException(name + " is '" + text + "': it must be a port, 0 to 65535");
        }
        return Integer.parseInt(text);
    }
}
