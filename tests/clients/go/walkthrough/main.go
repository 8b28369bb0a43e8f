// The walk-through with the generated clients. `languages.py` runs it, and sets the environment.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"

	outflow "client/gen/outflow/v1"
)

var (
	organization = os.Getenv("ORGANIZATION")
	partner      = organization + "/connections/partner"
	other        = organization + "/connections/other"
	names        = []string{organization + "/exports/one", organization + "/exports/two", organization + "/exports/three"}
	mondays      = &outflow.Schedule{
		Enabled: true,
		Timing: &outflow.Schedule_Cron_{
			Cron: &outflow.Schedule_Cron{Expression: "0 6 * * MON", TimeZone: "Europe/Berlin"},
		},
	}
)

func main() {
	channel, err := grpc.NewClient(os.Getenv("ADDRESS"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	connections, exports := outflow.NewConnectionServiceClient(channel), outflow.NewExportServiceClient(channel)
	admin, ann := caller("ADMIN"), caller("CONTRIBUTOR")
	listsPageByPage(admin, connections)
	connects(admin, connections)
	shares(admin, ann, connections)
	made := exportsAreMade(ann, exports)
	runs(ann, exports)
	unshares(admin, ann, connections, exports)
	etag := isInUse(admin, connections)
	detaches(admin, ann, exports, made, etag)
	attachesAgain(admin, ann, connections, exports)
	endsAtTheDeadline(admin, connections)
	fmt.Println("walk-through: passed")
}

func listsPageByPage(admin context.Context, connections outflow.ConnectionServiceClient) {
	found := map[string]bool{}
	request := &outflow.ListConnectionTypesRequest{PageSize: 3}
	for {
		page, err := connections.ListConnectionTypes(admin, request)
		check(err)
		for _, connectionType := range page.GetConnectionTypes() {
			require(!found[connectionType.GetName()], "%v is listed twice", connectionType.GetName())
			found[connectionType.GetName()] = true
		}
		request.PageToken = page.GetNextPageToken()
		if request.PageToken == "" {
			break
		}
	}
	require(len(found) > 3 && found["connectionTypes/sftp"], "%v", found)
}

func credential() *outflow.CredentialInput {
	values := map[string]string{"private_key": os.Getenv("SSH_PRIVATE_KEY")}
	inline := &outflow.CredentialInput_Inline_{Inline: &outflow.CredentialInput_Inline{Values: values}}
	return &outflow.CredentialInput{AuthMethod: "private_key", Source: inline}
}

func newConnection(id, displayName string, sharing *outflow.Sharing) *outflow.CreateConnectionRequest {
	port, err := strconv.Atoi(os.Getenv("SSH_PORT"))
	check(err)
	properties, err := structpb.NewStruct(map[string]any{
		"host": "127.0.0.1", "port": port, "username": os.Getenv("SSH_USERNAME"), "host_key": os.Getenv("SSH_HOST_KEY"),
	})
	check(err)
	return &outflow.CreateConnectionRequest{
		Parent:       organization,
		ConnectionId: id,
		Connection: &outflow.Connection{
			DisplayName: displayName, ConnectionType: "connectionTypes/sftp", Properties: properties, Sharing: sharing,
		},
		Credential: credential(),
	}
}

func connects(admin context.Context, connections outflow.ConnectionServiceClient) {
	request := newConnection("partner", "Partner SFTP – weekly segments", nil)
	request.RequestId = uuid.NewString()
	request.ValidateOnly = true
	checked, err := connections.CreateConnection(admin, request)
	check(err)
	require(checked.GetConnection().GetName() == partner, "%v", checked)
	_, err = connections.GetConnection(admin, &outflow.GetConnectionRequest{Name: partner})
	refused(err, codes.NotFound, "RESOURCE_NOT_FOUND")
	request.ValidateOnly = false
	created, err := connections.CreateConnection(admin, request)
	check(err)
	again, err := connections.CreateConnection(admin, request)
	check(err)
	require(proto.Equal(created, again), "the repeated request had a second effect: %v", again)

	updated, err := connections.UpdateConnection(admin, &outflow.UpdateConnectionRequest{
		Connection: &outflow.Connection{Name: partner, DisplayName: "ignored", Description: "Weekly segments"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}},
	})
	check(err)
	connection := updated.GetConnection()
	require(connection.GetDescription() == "Weekly segments", "%v", connection)
	require(connection.GetDisplayName() == created.GetConnection().GetDisplayName(), "%v", connection)
	rotate := &outflow.RotateConnectionCredentialRequest{Name: partner, Credential: credential()}
	rotated, err := connections.RotateConnectionCredential(admin, rotate)
	check(err)
	revision := rotated.GetConnection().GetCredentialStatus().GetRevision()
	require(revision > created.GetConnection().GetCredentialStatus().GetRevision(), "%v", rotated)
	target := &outflow.TestConnectionRequest_Name{Name: partner}
	tested, err := connections.TestConnection(admin, &outflow.TestConnectionRequest{Parent: organization, Target: target})
	check(err)
	require(tested.GetPassed(), "%v", tested)
}

func shares(admin, ann context.Context, connections outflow.ConnectionServiceClient) {
	search := &outflow.SearchUsableConnectionsRequest{Parent: organization}
	before, err := connections.SearchUsableConnections(ann, search)
	check(err)
	require(len(before.GetUsableConnections()) == 0, "%v", before)
	_, err = connections.ShareConnection(admin, &outflow.ShareConnectionRequest{Name: partner, AllContributors: true})
	check(err)
	after, err := connections.SearchUsableConnections(ann, search)
	check(err)
	require(len(after.GetUsableConnections()) == 1, "%v", after)
	usable := after.GetUsableConnections()[0]
	require(usable.GetName() == partner && usable.GetConnectionType() == "connectionTypes/sftp", "%v", usable)
	_, err = connections.GetConnection(ann, &outflow.GetConnectionRequest{Name: partner})
	refused(err, codes.PermissionDenied, "ROLE_REQUIRED")
}

func exportsAreMade(ann context.Context, exports outflow.ExportServiceClient) []*outflow.Export {
	settings, err := structpb.NewStruct(map[string]any{"folder": "weekly", "file_format": "csv"})
	check(err)
	var made []*outflow.Export
	for _, name := range names {
		email := &outflow.PayloadField{Field: "email", Transform: outflow.PayloadField_TRANSFORM_SHA256_NORMALIZED}
		table := &outflow.PayloadTable{Table: "customers", Fields: []*outflow.PayloadField{email, {Field: "segment"}}}
		created, err := exports.CreateExport(ann, &outflow.CreateExportRequest{
			Parent:   organization,
			ExportId: name[strings.LastIndex(name, "/")+1:],
			Export: &outflow.Export{
				DisplayName:         name,
				Connection:          partner,
				Payload:             &outflow.Payload{Tables: []*outflow.PayloadTable{table}},
				Schedule:            mondays,
				DestinationSettings: settings,
			},
		})
		check(err)
		made = append(made, created.GetExport())
	}
	preview := &outflow.PreviewScheduleRequest{Parent: organization, Schedule: mondays, Count: 3}
	schedule, err := exports.PreviewSchedule(ann, preview)
	check(err)
	require(len(schedule.GetOccurrences()) == 3, "%v", schedule)
	first := schedule.GetOccurrences()[0].GetTime()
	require(first.AsTime().After(time.Now()) && proto.Equal(first, made[0].GetNextRunTime()), "%v", schedule)
	return made
}

func runs(ann context.Context, exports outflow.ExportServiceClient) {
	target := &outflow.PreviewExportRequest_Name{Name: names[0]}
	shown, err := exports.PreviewExport(ann, &outflow.PreviewExportRequest{Parent: organization, Target: target, Rows: 2})
	check(err)
	require(len(shown.GetFiles()) == 1 && shown.GetFiles()[0].GetSampleRows() == 2, "%v", shown)
	require(strings.HasPrefix(shown.GetFiles()[0].GetSample(), "email,segment"), "%v", shown)

	started, err := exports.RunExport(ann, &outflow.RunExportRequest{Name: names[0]})
	check(err)
	run := started.GetRun().GetName()
	stream, err := exports.WatchExportRun(ann, &outflow.WatchExportRunRequest{Name: run})
	check(err)
	states := receive(stream)
	last := states[len(states)-1].GetRun()
	require(last.GetState() == outflow.ExportRun_STATE_SUCCEEDED, "%v", last)
	ended, err := exports.GetExportRun(ann, &outflow.GetExportRunRequest{Name: run})
	check(err)
	stats := ended.GetRun().GetStats()
	require(stats.GetRowsRead() > 0 && stats.GetRowsRead() == stats.GetRowsWritten() && stats.GetFiles() == 1, "%v", stats)
}

func unshares(
	admin, ann context.Context, connections outflow.ConnectionServiceClient, exports outflow.ExportServiceClient,
) {
	unshare := &outflow.UnshareConnectionRequest{Name: partner, AllContributors: true}
	unshared, err := connections.UnshareConnection(admin, unshare)
	check(err)
	require(unshared.GetAffectedExportCount() == 3, "%v", unshared)
	listed, err := exports.ListExports(ann, &outflow.ListExportsRequest{Parent: organization})
	check(err)
	require(len(listed.GetExports()) == 3, "%v", listed)
	for _, export := range listed.GetExports() {
		require(export.GetState() == outflow.Export_STATE_ACTIVE, "%v", export)
		require(export.GetCallerAccess() == outflow.Export_CALLER_ACCESS_VIEW, "%v", export)
	}
	edit := &outflow.Export{Name: names[0], DisplayName: "Mine"}
	_, err = exports.UpdateExport(ann, &outflow.UpdateExportRequest{Export: edit})
	refused(err, codes.PermissionDenied, "NOT_PERMITTED")
}

// isInUse returns the etag of the exports that block the deletion.
func isInUse(admin context.Context, connections outflow.ConnectionServiceClient) string {
	_, err := connections.DeleteConnection(admin, &outflow.DeleteConnectionRequest{Name: partner})
	refusal := refused(err, codes.FailedPrecondition, "CONNECTION_IN_USE")
	require(strings.HasPrefix(refusal.message, "3 exports use this connection"), "%v", refusal)
	require(len(refusal.violations) == 3, "%v", refusal)
	stream, err := connections.StreamBlockingExports(admin, &outflow.StreamBlockingExportsRequest{Name: partner})
	check(err)
	events := receive(stream)
	require(len(events) == 4, "%v", events)
	for index, name := range names {
		require(refusal.violations[index].GetSubject() == name, "%v", refusal)
		require(events[index].GetBlocking().GetName() == name, "%v", events)
	}
	summary := events[3].GetSummary()
	require(summary.GetBlockingExportCount() == 3, "%v", summary)
	require(summary.GetBlockingSetEtag() == refusal.metadata["blocking_set_etag"], "%v", summary)
	return summary.GetBlockingSetEtag()
}

func detaches(
	admin, ann context.Context, exports outflow.ExportServiceClient, made []*outflow.Export, etag string,
) {
	_, err := exports.DeleteExport(admin, &outflow.DeleteExportRequest{Name: names[0]})
	check(err)
	_, err = exports.DetachExport(admin, &outflow.DetachExportRequest{Name: names[1], Reason: "the partner moves"})
	check(err)
	shown := &outflow.BatchDetachExportsRequest_AttachedSet{Connection: partner, BlockingSetEtag: etag}
	batch := &outflow.BatchDetachExportsRequest{Parent: organization, AttachedSet: shown}
	detached, err := exports.BatchDetachExports(admin, batch)
	check(err)
	require(detached.GetDetachedCount() == 1, "%v", detached)
	for _, before := range made[1:] {
		got, err := exports.GetExport(ann, &outflow.GetExportRequest{Name: before.GetName()})
		check(err)
		export := got.GetExport()
		require(export.GetState() == outflow.Export_STATE_INACTIVE && export.GetNextRunTime() == nil, "%v", export)
		require(export.GetOwner() == "user:ann", "%v", export)
		require(export.GetCallerAccess() == outflow.Export_CALLER_ACCESS_MANAGE, "%v", export)
		require(proto.Equal(export.GetPayload(), before.GetPayload()), "%v", export)
		require(proto.Equal(export.GetSchedule(), before.GetSchedule()), "%v", export)
		require(proto.Equal(export.GetDestinationSettings(), before.GetDestinationSettings()), "%v", export)
		_, err = exports.RunExport(ann, &outflow.RunExportRequest{Name: before.GetName()})
		refused(err, codes.FailedPrecondition, "EXPORT_INACTIVE")
	}
}

func attachesAgain(
	admin, ann context.Context, connections outflow.ConnectionServiceClient, exports outflow.ExportServiceClient,
) {
	_, err := connections.DeleteConnection(admin, &outflow.DeleteConnectionRequest{Name: partner})
	check(err)
	_, err = connections.GetConnection(admin, &outflow.GetConnectionRequest{Name: partner})
	refused(err, codes.NotFound, "RESOURCE_NOT_FOUND")
	sharing := &outflow.Sharing{Members: []string{"user:ann"}}
	_, err = connections.CreateConnection(admin, newConnection("other", "Another SFTP", sharing))
	check(err)
	attached, err := exports.AttachExport(ann, &outflow.AttachExportRequest{Name: names[1], Connection: other})
	check(err)
	export := attached.GetExport()
	require(export.GetState() == outflow.Export_STATE_ACTIVE && export.GetNextRunTime() != nil, "%v", export)
}

func endsAtTheDeadline(admin context.Context, connections outflow.ConnectionServiceClient) {
	short, cancel := context.WithTimeout(admin, 500*time.Millisecond)
	defer cancel()
	follow := &outflow.StreamBlockingExportsRequest{Name: other, Follow: true}
	stream, err := connections.StreamBlockingExports(short, follow)
	for err == nil {
		_, err = stream.Recv()
	}
	require(err != io.EOF, "the stream ended before the deadline")
	requireCode(err, codes.DeadlineExceeded)
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
