package inaetics.agent;

import inaetics.basics.Json;
import inaetics.basics.Log;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How often a deployment was tried. One that ends the whole process (it calls {@code System.exit}, or exhausts memory)
 * would be tried again by the next process for ever. So each try is written down before it begins, and after
 * {@link #MOST} that did not come to an end the deployment is refused. The file is what Python agents write.
 */
final class Tries {
    static final int MOST = 3;

    private final Path file;

    /** {@code directory} is the agent's own and outlives it. */
    Tries(Path directory) {
        file = directory.resolve("trying.json");
    }

    /** Whether this deployment was begun and never ended: the process died in it. */
    boolean tried(String version) {
        return times(version) > 0;
    }

    /**
     * A deployment is about to be installed. Throws {@link IllegalArgumentException} when it was begun too often and never
     * ended. A disk that is full costs the memory, not what runs.
     */
    void begin(String version) {
        long times = times(version);
        if (times >= MOST) {
            throw new IllegalArgumentException("the agent ended " + times + " times while it installed deployment " + version
                    + ": it is not tried again (deploy another version; the agent's log says what came last)");
        }
        Map<String, Object> written = new LinkedHashMap<>();
        written.put("version", version);
        written.put("times", times + 1);
        try {
            Archives.replace(file, Json.write(written));
        } catch (IOException error) {
            Log.warning("cannot remember", "file", file, "error", error.toString());
        }
    }

    /** The try came to an end, good or bad. */
    void end() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException error) {
            Log.warning("cannot remember", "file", file, "error", error.toString());
        }
    }

    private long times(String version) {
        try {
            Map<String, Object> found = Json.readObject(Files.readString(file));
            return version.equals(found.get("version")) && found.get("times") instanceof Long times ? times : 0;
        } catch (IOException | IllegalArgumentException none) {
            return 0;
        }
    }
}
