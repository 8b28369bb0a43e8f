// The channel, callers with the token of a role, and checks of results and errors.

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;

final class Callers {
  private Callers() {}

  static ManagedChannel channel() {
    return Grpc.newChannelBuilder(System.getenv("ADDRESS"), InsecureChannelCredentials.create()).build();
  }

  /** Returns a client that sends the token of a role, with a deadline for all its calls. */
  static <Stub extends AbstractStub<?>> Stub as(String role, Stub client) {
    Metadata headers = new Metadata();
    String token = System.getenv("TOKEN_" + role.toUpperCase());
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
    @SuppressWarnings("unchecked")
    Stub caller =
        (Stub)
            client
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
                .withDeadlineAfter(Duration.ofMinutes(5));
    return caller;
  }

  /** A failed call. */
  record Refusal(StatusRuntimeException error) {
    String message() {
      return error.getStatus().getDescription();
    }

    /** Returns the detail of a type. */
    <Detail extends Message> Detail detail(Class<Detail> type) {
      try {
        for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
          if (detail.is(type)) {
            return detail.unpack(type);
          }
        }
      } catch (InvalidProtocolBufferException invalid) {
        throw new AssertionError(invalid);
      }
      throw new AssertionError("no " + type.getSimpleName() + " in " + error);
    }
  }

  /** Requires that a call fails with a code and a reason. */
  static Refusal refused(Status.Code code, String reason, Runnable call) {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      Refusal refusal = new Refusal(error);
      require(error.getStatus().getCode() == code, error);
      require(refusal.detail(ErrorInfo.class).getReason().equals(reason), error);
      return refusal;
    }
    throw new AssertionError("the call succeeded");
  }

  static void require(boolean holds, Object shown) {
    if (!holds) {
      throw new AssertionError(shown);
    }
  }
}
