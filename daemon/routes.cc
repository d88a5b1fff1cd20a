// The one table of the control plane's routes: what is there, who may call it, how large a body may be.

#include "daemon/api_handlers.h"

namespace ratchet::daemon {
namespace {

using enum Role;
using enum RouteKind;

constexpr std::uint64_t kNone = 0;
constexpr std::uint64_t kSmall = 1u << 20;
constexpr std::uint64_t kSpec = 16u << 20;    // a spec with the files of its trainer; the spec's own limits are tighter
constexpr std::uint64_t kBatch = 16u << 20;   // of predictions or outcomes; who has more sends more of them
constexpr std::uint64_t kPush = 64ULL << 30;  // streamed, never held
constexpr char kPaged[] = "limit after";
constexpr char kJson[] = "application/json";
constexpr char kSpecTypes[] = "application/yaml application/x-yaml text/yaml application/json";
constexpr char kLines[] = "application/x-ndjson";
constexpr char kOutcomeTypes[] = "application/json application/x-ndjson";
constexpr char kRowTypes[] = "text/csv application/x-ndjson application/vnd.ratchet.pack";

constexpr ApiRoute kRoutes[] = {
    {{"GET", "/api/v1/status", "getStatus", kViewer, kPlain, kNone, ""}, GetStatus},
    {{"GET", "/api/v1/openapi.json", "getOpenApi", kViewer, kPlain, kNone, ""}, GetOpenApi},
    {{"GET", "/api/v1/audit", "listAudit", kAdmin, kPlain, kNone, "", kPaged}, ListAudit},
    {{"GET", "/api/v1/events", "streamEvents", kViewer, kStream, kNone, "", "after"}, StreamEvents},

    {{"GET", "/api/v1/pipelines", "listPipelines", kViewer, kPlain, kNone, "", kPaged}, ListPipelines},
    {{"POST", "/api/v1/pipelines/validate", "validatePipeline", kViewer, kPlain, kSpec, kSpecTypes}, ValidatePipeline},
    {{"GET", "/api/v1/pipelines/{name}", "getPipeline", kViewer, kPlain, kNone, ""}, GetPipeline},
    {{"PUT", "/api/v1/pipelines/{name}", "putPipeline", kOperator, kPlain, kSpec, kSpecTypes}, PutPipeline},
    {{"DELETE", "/api/v1/pipelines/{name}", "deletePipeline", kOperator, kPlain, kNone, ""}, DeletePipeline},
    {{"POST", "/api/v1/pipelines/{name}/runs", "startRun", kOperator, kPlain, kSmall, kJson}, StartRun},

    {{"POST", "/api/v1/pipelines/{name}/pause", "pausePipeline", kOperator, kPlain, kSmall, kJson}, PausePipeline},
    {{"POST", "/api/v1/pipelines/{name}/resume", "resumePipeline", kOperator, kPlain, kSmall, kJson}, ResumePipeline},

    {{"GET", "/api/v1/runs", "listRuns", kViewer, kPlain, kNone, "", "pipeline state limit after"}, ListRuns},
    {{"GET", "/api/v1/runs/{id}", "getRun", kViewer, kPlain, kNone, ""}, GetRun},
    {{"POST", "/api/v1/runs/{id}/cancel", "cancelRun", kOperator, kPlain, kSmall, kJson}, CancelRun},
    {{"POST", "/api/v1/runs/{id}/retry", "retryRun", kOperator, kPlain, kSmall, kJson}, RetryRun},
    {{"GET", "/api/v1/runs/{id}/logs", "getRunLogs", kViewer, kStream, kNone, "", "step attempt offset follow"}, GetRunLogs},
    {{"POST", "/api/v1/runs/{id}/reproduce", "reproduceRun", kOperator, kPlain, kSmall, kJson}, ReproduceRun},
    {{"GET", "/api/v1/runs/{id}/timeline", "getRunTimeline", kViewer, kPlain, kNone, ""}, GetRunTimeline},
    {{"GET", "/api/v1/runs/{id}/trials", "getRunTrials", kViewer, kPlain, kNone, ""}, GetRunTrials},
    {{"GET", "/api/v1/runs/{id}/events", "streamRunEvents", kViewer, kStream, kNone, "", "after"}, StreamRunEvents},

    {{"GET", "/api/v1/datasets", "listDatasets", kViewer, kPlain, kNone, "", kPaged}, ListDatasets},
    {{"GET", "/api/v1/datasets/{name}", "getDataset", kViewer, kPlain, kNone, ""}, GetDataset},
    {{"GET", "/api/v1/datasets/{name}/versions", "listDatasetVersions", kViewer, kPlain, kNone, "", kPaged},
     ListDatasetVersions},
    {{"POST", "/api/v1/datasets/{name}/versions", "pushDataset", kOperator, kUpload, kPush, kRowTypes, "key validation holdout"}, PushDataset},
    {{"GET", "/api/v1/datasets/{name}/versions/{version}", "getDatasetVersion", kViewer, kPlain, kNone, ""},
     GetDatasetVersion},
    {{"GET", "/api/v1/datasets/{name}/versions/{version}/rows", "getDatasetRows", kViewer, kPlain, kNone, "", kPaged},
     GetDatasetRows},
    {{"POST", "/api/v1/datasets/{name}/rotate-holdout", "rotateHoldout", kOperator, kPlain, kSmall, kJson}, RotateHoldout},

    {{"GET", "/api/v1/models", "listModels", kViewer, kPlain, kNone, "", kPaged}, ListModels},
    {{"GET", "/api/v1/models/{model}", "getModel", kViewer, kPlain, kNone, ""}, GetModel},
    {{"GET", "/api/v1/models/{model}/versions", "listVersions", kViewer, kPlain, kNone, "", kPaged}, ListVersions},
    {{"GET", "/api/v1/models/{model}/versions/{version}", "getVersion", kViewer, kPlain, kNone, ""}, GetVersion},
    {{"GET", "/api/v1/models/{model}/versions/{version}/decision", "getDecision", kViewer, kPlain, kNone, ""},
     GetDecision},
    {{"GET", "/api/v1/models/{model}/versions/{version}/decision/explain", "explainDecision", kViewer, kPlain, kNone, ""},
     ExplainDecision},
    {{"GET", "/api/v1/models/{model}/versions/{version}/decision/report", "getDecisionReport", kViewer, kPlain, kNone, ""},
     GetDecisionReport},
    {{"GET", "/api/v1/models/{model}/versions/{version}/bundle", "getBundle", kViewer, kPlain, kNone, ""}, GetBundle},
    {{"POST", "/api/v1/models/{model}/promote", "promoteModel", kOperator, kPlain, kSmall, kJson}, PromoteModel},
    {{"POST", "/api/v1/models/{model}/rollback", "rollbackModel", kOperator, kPlain, kSmall, kJson}, RollbackModel},
    {{"POST", "/api/v1/models/{model}/release/approve", "approveRelease", kOperator, kPlain, kSmall, kJson}, ApproveRelease},
    {{"POST", "/api/v1/models/{model}/release/abort", "abortRelease", kOperator, kPlain, kSmall, kJson}, AbortRelease},
    {{"GET", "/api/v1/models/{model}/releases", "listReleases", kViewer, kPlain, kNone, "", kPaged}, ListReleases},
    {{"GET", "/api/v1/models/{model}/route", "getRoute", kViewer, kPlain, kNone, ""}, GetRoute},
    {{"POST", "/api/v1/models/{model}/feedback", "postFeedback", kOperator, kPlain, kBatch, kOutcomeTypes}, PostFeedback},
    {{"GET", "/api/v1/models/{model}/live-metric", "getLiveMetric", kViewer, kPlain, kNone, "", "span slice"}, GetLiveMetric},

    {{"POST", "/api/v1/replicas/{id}/predictions", "postPredictions", kOperator, kPlain, kBatch, kLines, "spool started dropped"},
     PostPredictions},
    {{"POST", "/api/v1/replicas/{id}/sync", "syncReplica", kOperator, kStream, kSmall, kJson}, SyncReplica},
    {{"GET", "/api/v1/blobs/{sha256}", "getBlob", kOperator, kPlain, kNone, ""}, GetBlob},

    {{"GET", "/healthz", "getHealth", kViewer, kPlain, kNone, ""}, GetHealth},
    {{"GET", "/readyz", "getReadiness", kViewer, kPlain, kNone, ""}, GetReadiness},
    {{"GET", "/metrics", "getMetrics", kViewer, kPlain, kNone, ""}, GetMetrics},
    {{"GET", "/", "getPage", kViewer, kPlain, kNone, "", kAnyQuery}, GetPage},
    {{"GET", "/{file}", "getPageFile", kViewer, kPlain, kNone, "", kAnyQuery}, GetPage},
    {{"GET", "/assets/{file}", "getPageAsset", kViewer, kPlain, kNone, "", kAnyQuery}, GetPage},
};

}  // namespace

std::span<const ApiRoute> ApiRoutes() { return kRoutes; }

std::vector<Route> BindRoutes(Api& api) {
  std::vector<Route> routes;
  for (const ApiRoute& route : kRoutes)
    routes.push_back(
        {route.spec, [&api, handler = route.handler](const Request& request) { return handler(api, request); }});
  return routes;
}

}  // namespace ratchet::daemon
