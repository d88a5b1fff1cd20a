#pragma once

#include "daemon/api.h"

// One function a route; routes.cc says which. Each is in the file of its noun, api_<noun>.cc.
namespace ratchet::daemon {

Result<Response> ListPipelines(Api& api, const Request& request);
Result<Response> GetPipeline(Api& api, const Request& request);
Result<Response> PutPipeline(Api& api, const Request& request);
Result<Response> DeletePipeline(Api& api, const Request& request);
Result<Response> ValidatePipeline(Api& api, const Request& request);
Result<Response> PausePipeline(Api& api, const Request& request);
Result<Response> ResumePipeline(Api& api, const Request& request);
Result<Response> StartRun(Api& api, const Request& request);

Result<Response> ListRuns(Api& api, const Request& request);
Result<Response> GetRun(Api& api, const Request& request);
Result<Response> CancelRun(Api& api, const Request& request);
Result<Response> RetryRun(Api& api, const Request& request);
Result<Response> ReproduceRun(Api& api, const Request& request);
Result<Response> GetRunTimeline(Api& api, const Request& request);
Result<Response> GetRunTrials(Api& api, const Request& request);
Result<Response> GetRunLogs(Api& api, const Request& request);

Result<Response> ListDatasets(Api& api, const Request& request);
Result<Response> GetDataset(Api& api, const Request& request);
Result<Response> ListDatasetVersions(Api& api, const Request& request);
Result<Response> GetDatasetVersion(Api& api, const Request& request);
Result<Response> GetDatasetRows(Api& api, const Request& request);
Result<Response> PushDataset(Api& api, const Request& request);
Result<Response> RotateHoldout(Api& api, const Request& request);

Result<Response> ListModels(Api& api, const Request& request);
Result<Response> GetModel(Api& api, const Request& request);
Result<Response> ListVersions(Api& api, const Request& request);
Result<Response> GetVersion(Api& api, const Request& request);
Result<Response> GetDecision(Api& api, const Request& request);
Result<Response> GetDecisionReport(Api& api, const Request& request);
Result<Response> ExplainDecision(Api& api, const Request& request);
Result<Response> GetBundle(Api& api, const Request& request);
Result<Response> GetBlob(Api& api, const Request& request);

Result<Response> PromoteModel(Api& api, const Request& request);
Result<Response> RollbackModel(Api& api, const Request& request);
Result<Response> ApproveRelease(Api& api, const Request& request);
Result<Response> AbortRelease(Api& api, const Request& request);
Result<Response> ListReleases(Api& api, const Request& request);
Result<Response> GetRoute(Api& api, const Request& request);
Result<Response> PostPredictions(Api& api, const Request& request);
Result<Response> PostFeedback(Api& api, const Request& request);
Result<Response> GetLiveMetric(Api& api, const Request& request);
Result<Response> SyncReplica(Api& api, const Request& request);

Result<Response> StreamEvents(Api& api, const Request& request);
Result<Response> StreamRunEvents(Api& api, const Request& request);

Result<Response> ListAudit(Api& api, const Request& request);
Result<Response> GetStatus(Api& api, const Request& request);
Result<Response> GetOpenApi(Api& api, const Request& request);
Result<Response> GetHealth(Api& api, const Request& request);
Result<Response> GetReadiness(Api& api, const Request& request);
Result<Response> GetMetrics(Api& api, const Request& request);
Result<Response> GetPage(Api& api, const Request& request);

}  // namespace ratchet::daemon
