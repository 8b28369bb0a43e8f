// The walk-through with the generated clients. `languages.py` runs it, and sets the environment.

import com.google.protobuf.FieldMask;
import com.google.protobuf.Struct;
import com.google.protobuf.util.Timestamps;
import com.google.protobuf.util.Values;
import com.google.rpc.ErrorInfo;
import com.google.rpc.PreconditionFailure;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.UUID;
import outflow.v1.AttachExportRequest;
import outflow.v1.BatchDetachExportsRequest;
import outflow.v1.Connection;
import outflow.v1.ConnectionServiceGrpc;
import outflow.v1.ConnectionServiceGrpc.ConnectionServiceBlockingStub;
import outflow.v1.CreateConnectionRequest;
import outflow.v1.CreateExportRequest;
import outflow.v1.CredentialInput;
import outflow.v1.DeleteConnectionRequest;
import outflow.v1.DeleteExportRequest;
import outflow.v1.DetachExportRequest;
import outflow.v1.Export;
import outflow.v1.ExportRun;
import outflow.v1.ExportServiceGrpc;
import outflow.v1.ExportServiceGrpc.ExportServiceBlockingStub;
import outflow.v1.GetConnectionRequest;
import outflow.v1.GetExportRequest;
import outflow.v1.GetExportRunRequest;
import outflow.v1.ListConnectionTypesRequest;
import outflow.v1.ListExportsRequest;
import outflow.v1.Payload;
import outflow.v1.PayloadField;
import outflow.v1.PayloadTable;
import outflow.v1.PreviewExportRequest;
import outflow.v1.PreviewScheduleRequest;
import outflow.v1.RotateConnectionCredentialRequest;
import outflow.v1.RunExportRequest;
import outflow.v1.Schedule;
import outflow.v1.SearchUsableConnectionsRequest;
import outflow.v1.ShareConnectionRequest;
import outflow.v1.Sharing;
import outflow.v1.StreamBlockingExportsRequest;
import outflow.v1.StreamBlockingExportsResponse;
import outflow.v1.TestConnectionRequest;
import outflow.v1.UnshareConnectionRequest;
import outflow.v1.UpdateConnectionRequest;
import outflow.v1.UpdateExportRequest;
import outflow.v1.WatchExportRunRequest;

public class Walkthrough {
  private static final String PARENT = System.getenv("ORGANIZATION");
  private static final String PARTNER = PARENT + "/connections/partner";
  private static final String OTHER = PARENT + "/connections/other";
  private static final String EXPORTS = PARENT + "/exports/";
  private static final List<String> NAMES = List.of(EXPORTS + "one", EXPORTS + "two", EXPORTS + "three");
  private static final Schedule MONDAYS =
      Schedule.newBuilder()
          .setEnabled(true)
          .setCron(Schedule.Cron.newBuilder().setExpression("0 6 * * MON").setTimeZone("Europe/Berlin"))
          .build();

  private final ConnectionServiceBlockingStub adminConnections;
  private final ConnectionServiceBlockingStub annConnections;
  private final ExportServiceBlockingStub adminExports;
  private final ExportServiceBlockingStub annExports;

  private Walkthrough(ManagedChannel channel) {
    adminConnections = Callers.as("admin", ConnectionServiceGrpc.newBlockingStub(channel));
    annConnections = Callers.as("contributor", ConnectionServiceGrpc.newBlockingStub(channel));
    adminExports = Callers.as("admin", ExportServiceGrpc.newBlockingStub(channel));
    annExports = Callers.as("contributor", ExportServiceGrpc.newBlockingStub(channel));
  }

  public static void main(String[] arguments) {
    ManagedChannel channel = Callers.channel();
    Walkthrough steps = new Walkthrough(channel);
    steps.listsPageByPage();
    steps.connects();
    steps.shares();
    List<Export> made = steps.exportsAreMade();
    steps.runs();
    steps.unshares();
    steps.detaches(made, steps.isInUse());
    steps.attachesAgain();
    steps.endsAtTheDeadline();
    channel.shutdownNow();
    System.out.println("walk-through: passed");
  }

  private void listsPageByPage() {
    List<String> found = new ArrayList<>();
    String token = "";
    do {
      var request = ListConnectionTypesRequest.newBuilder().setPageSize(3).setPageToken(token);
      var page = adminConnections.listConnectionTypes(request.build());
      page.getConnectionTypesList().forEach(type -> found.add(type.getName()));
      token = page.getNextPageToken();
    } while (!token.isEmpty());
    Callers.require(found.size() > 3 && new HashSet<>(found).size() == found.size(), found);
    Callers.require(found.contains("connectionTypes/sftp"), found);
  }

  private static CredentialInput credential() {
    var values = CredentialInput.Inline.newBuilder().putValues("private_key", System.getenv("SSH_PRIVATE_KEY"));
    return CredentialInput.newBuilder().setAuthMethod("private_key").setInline(values).build();
  }

  private static CreateConnectionRequest newConnection(String id, String displayName, Sharing sharing) {
    var properties =
        Struct.newBuilder()
            .putFields("host", Values.of("127.0.0.1"))
            .putFields("port", Values.of(Integer.parseInt(System.getenv("SSH_PORT"))))
            .putFields("username", Values.of(System.getenv("SSH_USERNAME")))
            .putFields("host_key", Values.of(System.getenv("SSH_HOST_KEY")));
    var connection =
        Connection.newBuilder()
            .setDisplayName(displayName)
            .setConnectionType("connectionTypes/sftp")
            .setProperties(properties)
            .setSharing(sharing);
    return CreateConnectionRequest.newBuilder()
        .setParent(PARENT)
        .setConnectionId(id)
        .setConnection(connection)
        .setCredential(credential())
        .build();
  }

  private Connection getConnection(ConnectionServiceBlockingStub caller) {
    return caller.getConnection(GetConnectionRequest.newBuilder().setName(PARTNER).build()).getConnection();
  }

  private void connects() {
    var request =
        newConnection("partner", "Partner SFTP – weekly segments", Sharing.getDefaultInstance()).toBuilder()
            .setRequestId(UUID.randomUUID().toString())
            .build();
    var checked = adminConnections.createConnection(request.toBuilder().setValidateOnly(true).build());
    Callers.require(checked.getConnection().getName().equals(PARTNER), checked);
    Callers.refused(Status.Code.NOT_FOUND, "RESOURCE_NOT_FOUND", () -> getConnection(adminConnections));
    var created = adminConnections.createConnection(request);
    Callers.require(adminConnections.createConnection(request).equals(created), "a repeated request had an effect");

    var change = Connection.newBuilder().setName(PARTNER).setDisplayName("ignored").setDescription("Weekly segments");
    var mask = FieldMask.newBuilder().addPaths("description");
    var update = UpdateConnectionRequest.newBuilder().setConnection(change).setUpdateMask(mask).build();
    Connection updated = adminConnections.updateConnection(update).getConnection();
    Callers.require(updated.getDescription().equals("Weekly segments"), updated);
    Callers.require(updated.getDisplayName().equals(created.getConnection().getDisplayName()), updated);
    var rotate = RotateConnectionCredentialRequest.newBuilder().setName(PARTNER).setCredential(credential()).build();
    var rotated = adminConnections.rotateConnectionCredential(rotate).getConnection().getCredentialStatus();
    var before = created.getConnection().getCredentialStatus();
    Callers.require(rotated.getRevision() > before.getRevision(), rotated);
    var target = TestConnectionRequest.newBuilder().setParent(PARENT).setName(PARTNER).build();
    var tested = adminConnections.testConnection(target);
    Callers.require(tested.getPassed(), tested);
  }

  private void shares() {
    var search = SearchUsableConnectionsRequest.newBuilder().setParent(PARENT).build();
    var before = annConnections.searchUsableConnections(search);
    Callers.require(before.getUsableConnectionsCount() == 0, before);
    var share = ShareConnectionRequest.newBuilder().setName(PARTNER).setAllContributors(true).build();
    adminConnections.shareConnection(share);
    var after = annConnections.searchUsableConnections(search);
    Callers.require(after.getUsableConnectionsCount() == 1, after);
    Callers.require(after.getUsableConnections(0).getName().equals(PARTNER), after);
    Callers.require(after.getUsableConnections(0).getConnectionType().equals("connectionTypes/sftp"), after);
    Callers.refused(Status.Code.PERMISSION_DENIED, "ROLE_REQUIRED", () -> getConnection(annConnections));
  }

  private List<Export> exportsAreMade() {
    var email =
        PayloadField.newBuilder()
            .setField("email")
            .setTransform(PayloadField.Transform.TRANSFORM_SHA256_NORMALIZED);
    var segment = PayloadField.newBuilder().setField("segment");
    var table = PayloadTable.newBuilder().setTable("customers").addFields(email).addFields(segment);
    var settings =
        Struct.newBuilder()
            .putFields("folder", Values.of("weekly"))
            .putFields("file_format", Values.of("csv"));
    List<Export> made = new ArrayList<>();
    for (String name : NAMES) {
      var export =
          Export.newBuilder()
              .setDisplayName(name)
              .setConnection(PARTNER)
              .setPayload(Payload.newBuilder().addTables(table))
              .setSchedule(MONDAYS)
              .setDestinationSettings(settings);
      var request = CreateExportRequest.newBuilder().setParent(PARENT).setExport(export);
      request.setExportId(name.substring(EXPORTS.length()));
      made.add(annExports.createExport(request.build()).getExport());
    }
    var preview = PreviewScheduleRequest.newBuilder().setParent(PARENT).setSchedule(MONDAYS).setCount(3).build();
    var occurrences = annExports.previewSchedule(preview).getOccurrencesList();
    Callers.require(occurrences.size() == 3, occurrences);
    Callers.require(Timestamps.compare(occurrences.get(0).getTime(), Timestamps.now()) > 0, occurrences);
    Callers.require(occurrences.get(0).getTime().equals(made.get(0).getNextRunTime()), occurrences);
    return made;
  }

  private void runs() {
    var preview = PreviewExportRequest.newBuilder().setParent(PARENT).setName(NAMES.get(0)).setRows(2).build();
    var shown = annExports.previewExport(preview);
    Callers.require(shown.getFilesCount() == 1 && shown.getFiles(0).getSampleRows() == 2, shown);
    Callers.require(shown.getFiles(0).getSample().startsWith("email,segment"), shown);
    var started = annExports.runExport(RunExportRequest.newBuilder().setName(NAMES.get(0)).build());
    String name = started.getRun().getName();
    ExportRun last = started.getRun();
    var states = annExports.watchExportRun(WatchExportRunRequest.newBuilder().setName(name).build());
    while (states.hasNext()) {
      last = states.next().getRun();
    }
    Callers.require(last.getState() == ExportRun.State.STATE_SUCCEEDED, last);
    var ended = annExports.getExportRun(GetExportRunRequest.newBuilder().setName(name).build());
    var stats = ended.getRun().getStats();
    Callers.require(stats.getRowsRead() > 0 && stats.getRowsRead() == stats.getRowsWritten(), stats);
    Callers.require(stats.getFiles() == 1, stats);
  }

  private void unshares() {
    var unshare = UnshareConnectionRequest.newBuilder().setName(PARTNER).setAllContributors(true).build();
    var unshared = adminConnections.unshareConnection(unshare);
    Callers.require(unshared.getAffectedExportCount() == 3, unshared);
    var listed = annExports.listExports(ListExportsRequest.newBuilder().setParent(PARENT).build()).getExportsList();
    Callers.require(listed.stream().map(Export::getName).toList().equals(NAMES), listed);
    for (Export export : listed) {
      Callers.require(export.getState() == Export.State.STATE_ACTIVE, export);
      Callers.require(export.getCallerAccess() == Export.CallerAccess.CALLER_ACCESS_VIEW, export);
    }
    var edit = Export.newBuilder().setName(NAMES.get(0)).setDisplayName("Mine");
    var update = UpdateExportRequest.newBuilder().setExport(edit).build();
    Callers.refused(Status.Code.PERMISSION_DENIED, "NOT_PERMITTED", () -> annExports.updateExport(update));
  }

  /** Returns the etag of the exports that block the deletion. */
  private String isInUse() {
    var remove = DeleteConnectionRequest.newBuilder().setName(PARTNER).build();
    var refusal =
        Callers.refused(
            Status.Code.FAILED_PRECONDITION,
            "CONNECTION_IN_USE",
            () -> adminConnections.deleteConnection(remove));
    Callers.require(refusal.message().startsWith("3 exports use this connection"), refusal);
    var violations = refusal.detail(PreconditionFailure.class).getViolationsList();
    var subjects = violations.stream().map(PreconditionFailure.Violation::getSubject).toList();
    Callers.require(subjects.equals(NAMES), violations);

    List<String> blocking = new ArrayList<>();
    var summary = StreamBlockingExportsResponse.Summary.getDefaultInstance();
    var stream = StreamBlockingExportsRequest.newBuilder().setName(PARTNER).build();
    var events = adminConnections.streamBlockingExports(stream);
    while (events.hasNext()) {
      var event = events.next();
      switch (event.getEventCase()) {
        case BLOCKING -> blocking.add(event.getBlocking().getName());
        case SUMMARY -> summary = event.getSummary();
        default -> throw new AssertionError(event);
      }
    }
    Callers.require(blocking.equals(NAMES), blocking);
    Callers.require(summary.getBlockingExportCount() == 3, summary);
    String etag = refusal.detail(ErrorInfo.class).getMetadataOrThrow("blocking_set_etag");
    Callers.require(summary.getBlockingSetEtag().equals(etag), summary);
    return etag;
  }

  private void detaches(List<Export> made, String etag) {
    adminExports.deleteExport(DeleteExportRequest.newBuilder().setName(NAMES.get(0)).build());
    var detach = DetachExportRequest.newBuilder().setName(NAMES.get(1)).setReason("the partner moves").build();
    adminExports.detachExport(detach);
    var shown = BatchDetachExportsRequest.AttachedSet.newBuilder().setConnection(PARTNER).setBlockingSetEtag(etag);
    var batch = BatchDetachExportsRequest.newBuilder().setParent(PARENT).setAttachedSet(shown).build();
    var detached = adminExports.batchDetachExports(batch);
    Callers.require(detached.getDetachedCount() == 1, detached);
    for (Export before : made.subList(1, 3)) {
      var request = GetExportRequest.newBuilder().setName(before.getName()).build();
      Export export = annExports.getExport(request).getExport();
      Callers.require(export.getState() == Export.State.STATE_INACTIVE && !export.hasNextRunTime(), export);
      Callers.require(export.getOwner().equals("user:ann"), export);
      Callers.require(export.getCallerAccess() == Export.CallerAccess.CALLER_ACCESS_MANAGE, export);
      Callers.require(export.getPayload().equals(before.getPayload()), export);
      Callers.require(export.getSchedule().equals(before.getSchedule()), export);
      Callers.require(export.getDestinationSettings().equals(before.getDestinationSettings()), export);
      var run = RunExportRequest.newBuilder().setName(before.getName()).build();
      Callers.refused(Status.Code.FAILED_PRECONDITION, "EXPORT_INACTIVE", () -> annExports.runExport(run));
    }
  }

  private void attachesAgain() {
    adminConnections.deleteConnection(DeleteConnectionRequest.newBuilder().setName(PARTNER).build());
    Callers.refused(Status.Code.NOT_FOUND, "RESOURCE_NOT_FOUND", () -> getConnection(adminConnections));
    var sharing = Sharing.newBuilder().addMembers("user:ann").build();
    adminConnections.createConnection(newConnection("other", "Another SFTP", sharing));
    var attach = AttachExportRequest.newBuilder().setName(NAMES.get(1)).setConnection(OTHER).build();
    Export export = annExports.attachExport(attach).getExport();
    Callers.require(export.getState() == Export.State.STATE_ACTIVE && export.hasNextRunTime(), export);
  }

  private void endsAtTheDeadline() {
    var follow = StreamBlockingExportsRequest.newBuilder().setName(OTHER).setFollow(true).build();
    var events = adminConnections.withDeadlineAfter(Duration.ofMillis(500)).streamBlockingExports(follow);
    try {
      events.forEachRemaining(event -> {});
    } catch (StatusRuntimeException error) {
      Callers.require(error.getStatus().getCode() == Status.Code.DEADLINE_EXCEEDED, error);
      return;
    }
    throw new AssertionError("the stream ended before the deadline");
  }
}
