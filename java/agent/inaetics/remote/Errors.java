package inaetics.remote;

import java.util.ConcurrentModificationException;
import java.util.NoSuchElementException;
import org.osgi.framework.ServiceException;

/**
 * What went wrong with a call, in the words of both sides.
 *
 * <p>Three kinds of errors mean the same in every language: {@code InvalidInput} is an {@link IllegalArgumentException}
 * here, {@code NotFound} a {@link NoSuchElementException}, {@code Conflict} a {@link ConcurrentModificationException}.
 * Everything else a caller gets is a {@link ServiceException} of type {@code REMOTE}.
 */
final class Errors {
    private Errors() {}

    /** A call that got no answer; whether it was carried out is in the words. */
    static ServiceException unreachable(String method, String where, String why) {
        return new ServiceException("cannot call " + method + " at " + where + ": " + why, ServiceException.REMOTE);
    }

    /** What to throw here for a failure over there. */
    static RuntimeException thrown(Frame.Failure failure, String method, String where) {
        if (failure.reason() == Frame.NO_ENDPOINT) {
            return unreachable(method, where, "it was withdrawn there");
        }
        if (failure.reason() > Frame.RAISED && failure.reason() <= Frame.CANCELLED) {
            return unreachable(method, where, failure.message());
        }
        return switch (failure.kind()) {
            case "InvalidInput" -> new IllegalArgumentException(failure.message());
            case "NotFound" -> new NoSuchElementException(failure.message());
            case "Conflict" -> new ConcurrentModificationException(failure.message());
            default -> new ServiceException(
                    method + " failed there: " + failure.kind() + ": " + failure.message(), ServiceException.REMOTE);
        };
    }

    /** How an exception of a service travels. */
    static Frame.Failure raised(long id, Throwable error) {
        String kind = error instanceof IllegalArgumentException ? "InvalidInput"
                : error instanceof NoSuchElementException ? "NotFound"
                : error instanceof ConcurrentModificationException ? "Conflict"
                : error.getClass().getSimpleName();
        String words = error.getMessage() == null ? "" : error.getMessage();
        return new Frame.Failure(id, Frame.RAISED, kind, words);
    }
}
