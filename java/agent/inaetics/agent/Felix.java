package inaetics.agent;

import inaetics.basics.Log;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.felix.framework.FrameworkFactory;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.Constants;
import org.osgi.framework.launch.Framework;

/** Apache Felix as Debian has it, with Gogo's shell, told what it does not know of a newer Java. */
final class Felix {
    private static final List<String> GOGO =
            List.of("org.apache.felix.bundlerepository", "org.apache.felix.gogo.runtime",
                    "org.apache.felix.gogo.command", "org.apache.felix.gogo.shell");

    private Felix() {}

    /** Starts it with an empty cache; {@code jars} is where Debian's bundles are. */
    static Framework start(Settings settings, Path jars) throws BundleException {
        Map<String, String> properties = new HashMap<>();
        properties.put(Constants.FRAMEWORK_STORAGE, settings.data().resolve("felix").toString());
        properties.put(Constants.FRAMEWORK_STORAGE_CLEAN, Constants.FRAMEWORK_STORAGE_CLEAN_ONFIRSTINIT);
        properties.put(Constants.FRAMEWORK_SYSTEMPACKAGES_EXTRA, packagesOfJava());
        properties.put(Constants.FRAMEWORK_SYSTEMCAPABILITIES, capabilities());
        // A bundle is updated beside itself: pushed anew with its version, or with one that hangs in its stop still there.
        properties.put("org.osgi.framework.bsnversion", "multiple");
        properties.put("felix.log.level", "1");
        properties.put("gosh.args", "--noshutdown -c telnetd -i " + settings.shellAddress() + " -p "
                + settings.shellPort() + " start");
        properties.put("inaetics.agent", settings.agent());
        properties.put("inaetics.address", settings.address());
        properties.put("inaetics.host", settings.host());
        properties.put("inaetics.page.port", String.valueOf(settings.pagePort()));
        properties.put("inaetics.data", settings.data().toString());
        Framework framework = new FrameworkFactory().newFramework(properties);
        framework.start();
        BundleContext context = framework.getBundleContext();
        for (String each : GOGO) {
            Path jar = jars.resolve(each + ".jar");
            if (Files.exists(jar)) {
                start(context, jar);
            } else {
                Log.warning("the shell is not whole: a file is missing", "file", jar);
            }
        }
        return framework;
    }

    /** Bundles that provisioning knows nothing of. */
    static boolean isOurs(Bundle bundle) {
        return bundle.getBundleId() == 0 || bundle.getLocation().startsWith("file:");
    }

    private static void start(BundleContext context, Path jar) throws BundleException {
        try (var in = Files.newInputStream(jar)) {
            Bundle bundle = context.installBundle("file:" + jar, in);
            bundle.start();
        } catch (IOException error) {
            throw new BundleException("cannot read " + jar, error);
        }
    }

    /** Packages that bundles import by name, beside {@code java.*}. */
    private static String packagesOfJava() {
        TreeSet<String> found = ModuleLayer.boot().modules().stream()
                .flatMap(module -> module.getDescriptor().exports().stream())
                .filter(export -> !export.isQualified())
                .map(export -> export.source())
                .filter(name -> Stream.of("javax.", "org.w3c.", "org.xml.").anyMatch(name::startsWith))
                .collect(Collectors.toCollection(TreeSet::new));
        return String.join(",", found);
    }

    /** This Felix is older than this Java: it does not know that it can run what was compiled for it. */
    private static String capabilities() {
        int newest = Runtime.version().feature();
        Stream<String> old = Stream.of("1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8");
        String versions = Stream.concat(old, IntStream.rangeClosed(9, newest).mapToObj(String::valueOf))
                .collect(Collectors.joining(","));
        return "osgi.ee; osgi.ee=\"OSGi/Minimum\"; version:List<Version>=\"1.0,1.1,1.2\","
                + "osgi.ee; osgi.ee=\"JavaSE\"; version:List<Version>=\"" + versions + "\"";
    }
}
