package inaetics.basics;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Certificates as the cluster gives them to node agents: {@code ca.pem}, {@code cert.pem}, {@code key.pem}.
 *
 * <p>They are renewed while agents run: each new connection uses what is in the files then. What cannot be used there
 * (half of it written, of another key, or ended) leaves what was before in use; connections that stand are not touched.
 * An authority that is no longer in its file is believed no more.
 */
public final class Tls {
    private static final char[] NO_PASSWORD = new char[0];
    private static final List<String> FILES = List.of("ca.pem", "cert.pem", "key.pem");

    private final Path directory;
    private SSLContext context;
    private List<Object> loaded;
    private List<Object> unusable = List.of();

    /** Throws {@link IllegalArgumentException} for files that cannot be used. */
    public Tls(Path directory) {
        this.directory = directory;
        try {
            loaded = stamp();
            context = load(false);
        } catch (IOException | GeneralSecurityException error) {
            throw new IllegalArgumentException("cannot use the certificates in " + directory + ": " + error, error);
        }
    }

    /**
     * For both ends of the next connection. Another one than the last time when the files are others: also what a
     * context remembers of earlier connections shall not outlive its certificates.
     */
    public synchronized SSLContext context() {
        List<Object> stamp = List.of();
        try {
            stamp = stamp();
            if (!stamp.equals(loaded)) {
                context = load(true);
                loaded = stamp;
                Log.info("certificate renewed", "file", directory.resolve("cert.pem"));
            }
        } catch (IOException | GeneralSecurityException error) {
            if (!stamp.equals(unusable)) { // once for what is there
                Log.warning("certificate not usable, the one before stays", "directory", directory, "reason", error.toString());
            }
            unusable = stamp;
        }
        return context;
    }

    /** All certificates of a PEM file. */
    public static Collection<? extends Certificate> certificates(Path file) throws IOException, GeneralSecurityException {
        try (InputStream in = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(in);
        }
    }

    private SSLContext load(boolean renewed) throws IOException, GeneralSecurityException {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, NO_PASSWORD);
        int number = 0;
        for (Certificate each : certificates(directory.resolve("ca.pem"))) {
            trusted.setCertificateEntry("ca-" + number++, each);
        }
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, NO_PASSWORD);
        Certificate[] chain = certificates(directory.resolve("cert.pem")).toArray(new Certificate[0]);
        PrivateKey key = key(directory.resolve("key.pem"));
        check(chain, key, number, renewed);
        own.setKeyEntry("node", key, NO_PASSWORD, chain);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, NO_PASSWORD);
        SSLContext made = SSLContext.getInstance("TLSv1.3");
        made.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return made;
    }

    /** What Java would find out only in a handshake. */
    private static void check(Certificate[] chain, PrivateKey key, int authorities, boolean renewed)
            throws GeneralSecurityException {
        if (chain.length == 0 || authorities == 0) {
            throw new GeneralSecurityException("a file holds no certificate");
        }
        if (renewed && ((X509Certificate) chain[0]).getNotAfter().before(new Date())) {
            throw new GeneralSecurityException("the certificate has ended");
        }
        Signature sign = Signature.getInstance("SHA256withECDSA");
        sign.initSign(key);
        byte[] signature = sign.sign();
        sign.initVerify(chain[0].getPublicKey());
        if (!sign.verify(signature)) {
            throw new GeneralSecurityException("the key is of another certificate");
        }
    }

    /** Which files are there: others when one was replaced or written. */
    private List<Object> stamp() throws IOException {
        List<Object> found = new ArrayList<>();
        for (String name : FILES) {
            BasicFileAttributes file = Files.readAttributes(directory.resolve(name), BasicFileAttributes.class);
            found.addAll(List.of(file.lastModifiedTime(), file.size(), file.fileKey()));
        }
        return found;
    }

    private static PrivateKey key(Path file) throws IOException, GeneralSecurityException {
        String text = Files.readString(file).replaceAll("-----[A-Z ]+-----|\\s", "");
        byte[] encoded;
        try {
            encoded = Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException error) {
            throw new GeneralSecurityException(file + " is no PEM file", error);
        }
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(encoded));
    }
}
