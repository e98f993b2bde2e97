package inaetics.agent;

import inaetics.basics.Tls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.Collection;
import java.util.List;

/** Who made an archive: signatures by certificates of the cluster's authority, over the archive's hash. */
final class Signatures {
    private static final String CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
    private static final String RENEW = "sign it anew: inaetics bundle push";

    private Signatures() {}

    /**
     * Checks who signed a bundle. Throws {@link IllegalArgumentException} when nobody did, or nobody {@code anchors}
     * vouches for, or for another archive, or with a certificate that is for something else or does not hold now.
     */
    static void verify(Deployment.Item bundle, Path anchors) {
        if (bundle.certificate() == null) {
            throw new IllegalArgumentException("it is not signed (" + RENEW + ")");
        }
        try {
            X509Certificate signer = (X509Certificate) CertificateFactory.getInstance("X.509")
                    .generateCertificate(new ByteArrayInputStream(bundle.certificate().getBytes(StandardCharsets.US_ASCII)));
            String name = signer.getSubjectX500Principal().getName();
            if (!issued(signer, Tls.certificates(anchors))) {
                throw new IllegalArgumentException(
                        "it is signed by '" + name + "', whom this cluster does not know (" + RENEW + ")");
            }
            List<String> uses = signer.getExtendedKeyUsage();
            if (uses == null || !uses.contains(CODE_SIGNING)) {
                throw new IllegalArgumentException(
                        "it is signed with the certificate of '" + name + "', which is not for signing code");
            }
            signer.checkValidity();
            Signature check = Signature.getInstance("SHA256withECDSA");
            check.initVerify(signer.getPublicKey());
            check.update(bundle.sha256().getBytes(StandardCharsets.US_ASCII));
            if (!check.verify(decoded(bundle.signature()))) {
                throw new IllegalArgumentException("its signature by '" + name + "' is of another archive");
            }
        } catch (GeneralSecurityException | IOException error) {
            throw new IllegalArgumentException("its signature does not hold: " + error.getMessage() + " (" + RENEW + ")", error);
        }
    }

    private static byte[] decoded(String base64) throws GeneralSecurityException {
        try {
            return Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException error) {
            throw new GeneralSecurityException(error.getMessage(), error);
        }
    }

    private static boolean issued(X509Certificate certificate, Collection<? extends Certificate> anchors) {
        for (Certificate anchor : anchors) {
            try {
                X509Certificate authority = (X509Certificate) anchor;
                if (authority.getSubjectX500Principal().equals(certificate.getIssuerX500Principal())) {
                    certificate.verify(authority.getPublicKey());
                    return true;
                }
            } catch (GeneralSecurityException another) {
                continue;
            }
        }
        return false;
    }
}
