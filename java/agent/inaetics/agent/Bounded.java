package inaetics.agent;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;

/** The body of an answer, in memory, up to a size: who sends more is not listened to. */
final class Bounded implements HttpResponse.BodySubscriber<byte[]> {
    private final HttpResponse.BodySubscriber<byte[]> whole = HttpResponse.BodySubscribers.ofByteArray();
    private final long most;
    private long size;
    private Flow.Subscription subscription;

    Bounded(long most) {
        this.most = most;
    }

    @Override
    public CompletionStage<byte[]> getBody() {
        return whole.getBody();
    }

    @Override
    public void onSubscribe(Flow.Subscription made) {
        subscription = made;
        whole.onSubscribe(made);
    }

    @Override
    public void onNext(List<ByteBuffer> items) {
        size += items.stream().mapToLong(Buffer::remaining).sum();
        if (size > most) {
            subscription.cancel();
            whole.onError(new IOException("it sends more than " + most + " bytes"));
        } else {
            whole.onNext(items);
        }
    }

    @Override
    public void onError(Throwable error) {
        whole.onError(error);
    }

    @Override
    public void onComplete() {
        whole.onComplete();
    }
}
