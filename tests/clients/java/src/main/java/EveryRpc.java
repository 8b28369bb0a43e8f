// Makes the calls of requests.json with the generated clients, and prints the name of each method.

import com.google.protobuf.ListValue;
import com.google.protobuf.Message;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.protobuf.util.JsonFormat;
import io.grpc.ManagedChannel;
import io.grpc.stub.AbstractBlockingStub;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import outflow.v1.AuditServiceGrpc;
import outflow.v1.ConnectionServiceGrpc;
import outflow.v1.ExportServiceGrpc;
import outflow.v1.IdentityServiceGrpc;

public class EveryRpc {
  private static final Map<String, Function<ManagedChannel, AbstractBlockingStub<?>>> CLIENTS =
      Map.of(
          "outflow.v1.AuditService", AuditServiceGrpc::newBlockingStub,
          "outflow.v1.ConnectionService", ConnectionServiceGrpc::newBlockingStub,
          "outflow.v1.ExportService", ExportServiceGrpc::newBlockingStub,
          "outflow.v1.IdentityService", IdentityServiceGrpc::newBlockingStub);

  public static void main(String[] arguments) throws Exception {
    ListValue.Builder table = ListValue.newBuilder();
    JsonFormat.parser().merge(Files.readString(Path.of(System.getenv("REQUESTS"))), table);
    ManagedChannel channel = Callers.channel();
    String saved = "";
    for (Value value : table.getValuesList()) {
      Struct entry = value.getStructValue();
      Message answer = call(channel, entry, saved);
      if (entry.containsFields("save")) {
        saved = field(answer, entry.getFieldsOrThrow("save").getListValue().getValuesList());
      }
      System.out.println(entry.getFieldsOrThrow("method").getStringValue());
    }
    channel.shutdownNow();
  }

  /** Makes a call of a generated client, and returns the first message of its response. */
  private static Message call(ManagedChannel channel, Struct entry, String saved) throws Exception {
    String[] names = entry.getFieldsOrThrow("method").getStringValue().split("/");
    String caller = entry.getFieldsOrThrow("caller").getStringValue();
    Object client = Callers.as(caller, CLIENTS.get(names[0]).apply(channel));
    String name = names[1].substring(0, 1).toLowerCase() + names[1].substring(1);
    Method method =
        Arrays.stream(client.getClass().getMethods())
            .filter(found -> found.getName().equals(name))
            .findAny()
            .orElseThrow(() -> new NoSuchMethodException(name));
    String text =
        JsonFormat.printer()
            .print(entry.getFieldsOrThrow("request"))
            .replace("{parent}", System.getenv("ORGANIZATION"))
            .replace("{saved}", saved);
    Message.Builder request = (Message.Builder) method.getParameterTypes()[0].getMethod("newBuilder").invoke(null);
    JsonFormat.parser().merge(text, request);
    Object answer = method.invoke(client, request.build());
    if (!(answer instanceof Iterator<?> stream)) {
      return (Message) answer;
    }
    Message first = (Message) stream.next();
    stream.forEachRemaining(message -> {});
    return first;
  }

  /** Returns a text in a message by the names of the fields on its path. */
  private static String field(Message message, List<Value> path) {
    Object value = message;
    for (Value name : path) {
      Message holder = (Message) value;
      value = holder.getField(holder.getDescriptorForType().findFieldByName(name.getStringValue()));
    }
    return (String) value;
  }
}
