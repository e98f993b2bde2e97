package inaetics.basics;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Certificates as the cluster gives them to node agents: {@code ca.pem}, {@code cert.pem}, {@code key.pem}. */
public final class Tls {
    private static final char[] NO_PASSWORD = new char[0];

    private Tls() {}

    /** For both ends of a connection. Throws {@link IllegalArgumentException} that names the file that is wrong. */
    public static SSLContext context(Path directory) {
        try {
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, NO_PASSWORD);
            int number = 0;
            for (Certificate each : certificates(directory.resolve("ca.pem"))) {
                trusted.setCertificateEntry("ca-" + number++, each);
            }
            KeyStore own = KeyStore.getInstance("PKCS12");
            own.load(null, NO_PASSWORD);
            Certificate[] chain = certificates(directory.resolve("cert.pem")).toArray(new Certificate[0]);
            own.setKeyEntry("node", key(directory.resolve("key.pem")), NO_PASSWORD, chain);
            TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
            trust.init(trusted);
            KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
            keys.init(own, NO_PASSWORD);
            SSLContext context = SSLContext.getInstance("TLSv1.3");
            context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
            return context;
        } catch (IOException | GeneralSecurityException error) {
            throw new IllegalArgumentException("cannot use the certificates in " + directory + ": " + error, error);
        }
    }

    /** All certificates of a PEM file. */
    public static Collection<? extends Certificate> certificates(Path file) throws IOException, GeneralSecurityException {
        try (InputStream in = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(in);
        }
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
