package inaetics.agent;

import inaetics.basics.Json;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/**
 * What the agent keeps on disk: archives, and the deployment that ran last. Every file is whole or not there; an archive
 * is named for its content and checked when it is opened.
 */
final class Archives {
    /** A bundle's jar, out of an archive that was found to be what it should be. */
    record Opened(Deployment.Item item, byte[] jar) {}

    private static final int LARGEST = 64 * 1024 * 1024;

    private final Path directory;

    Archives(Path directory) throws IOException {
        this.directory = Files.createDirectories(directory);
    }

    /** The archive that is kept; null when there is none that is whole. */
    byte[] kept(Deployment.Item item) {
        try {
            byte[] archive = Files.readAllBytes(path(item));
            return hash(archive).equals(item.sha256()) ? archive : null;
        } catch (IOException none) {
            return null;
        }
    }

    /** Keeps an archive. Throws {@link IllegalArgumentException} when it is not what the deployment says. */
    void keep(Deployment.Item item, byte[] archive) throws IOException {
        String hash = hash(archive);
        if (!hash.equals(item.sha256())) {
            throw new IllegalArgumentException("the archive of " + item.key() + " is not what was asked for: its sha256 is "
                    + hash + ", expected " + item.sha256());
        }
        replace(path(item), archive);
    }

    /**
     * The jar in an archive. Throws {@link IllegalArgumentException} for one that is no OSGi bundle or not whole.
     */
    static Opened open(Deployment.Item item, byte[] archive) {
        Map<String, Object> manifest = Map.of();
        byte[] jar = null;
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(archive))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                byte[] data = zip.readNBytes(LARGEST + 1);
                if (data.length > LARGEST) {
                    throw new IllegalArgumentException("the archive of " + item.key() + " holds too much");
                }
                if (entry.getName().equals("bundle.json")) {
                    manifest = Json.readObject(new String(data, StandardCharsets.UTF_8));
                } else if (entry.getName().equals(item.name() + "/" + item.name() + ".jar")) {
                    jar = data;
                }
            }
        } catch (IOException error) {
            throw new IllegalArgumentException("cannot open the archive of " + item.key() + ": " + error.getMessage(), error);
        }
        if (!(item.name() + "-" + item.version()).equals(manifest.get("name") + "-" + manifest.get("version"))) {
            throw new IllegalArgumentException(
                    "the archive of " + item.key() + " says it is " + manifest.get("name") + "-" + manifest.get("version"));
        }
        if (!"osgi".equals(manifest.getOrDefault("kind", "python")) || jar == null) {
            throw new IllegalArgumentException("bundle " + item.key() + " is for Python agents, and this one runs OSGi"
                    + " bundles (give this target a rule of its own in the mapping, with language = \"java\")");
        }
        return new Opened(item, jar);
    }

    /** The deployment that ran last; null when none did. */
    Deployment last() {
        try {
            return Deployment.read(Files.readString(directory.resolve("deployment.json")));
        } catch (IOException | IllegalArgumentException none) {
            return null;
        }
    }

    void remember(Deployment deployment) throws IOException {
        replace(directory.resolve("deployment.json"), deployment.text());
        try (var files = Files.list(directory)) {
            for (Path each : files.filter(file -> file.toString().endsWith(".zip")).toList()) {
                if (deployment.bundles().stream().noneMatch(item -> path(item).equals(each))) {
                    Files.delete(each);
                }
            }
        }
    }

    private Path path(Deployment.Item item) {
        return directory.resolve(item.key() + "-" + item.sha256().substring(0, 16) + ".zip");
    }

    /** Writes a file that is whole or not there. */
    static void replace(Path path, String text) throws IOException {
        replace(path, text.getBytes(StandardCharsets.UTF_8));
    }

    private static void replace(Path path, byte[] data) throws IOException {
        Path partial = path.resolveSibling(path.getFileName() + ".partial");
        Files.write(partial, data);
        Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static String hash(byte[] data) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
