// SPDX-License-Identifier: Apache-2.0
// Joins the API to the engine: no logic, only names.
#pragma once

#include "api/backend.h"
#include "archive/archivist.h"
#include "fit_backend.h"
#include "move/doctor/doctor.h"
#include "move/engine.h"
#include "move/plan/inventory.h"
#include "place/evacuator.h"
#include "place/placer.h"

namespace drover::droverd {

class Backend final : public api::Backend {
 public:
  Backend(move::World& world, move::Engine& engine, move::Inventory& inventory,
          place::Placer& placer, place::Evacuator& evacuator, fit::Fitting& fitting,
          archive::Archivist& archivist, move::DoctorOptions doctor)
      : world_(world),
        engine_(engine),
        inventory_(inventory),
        placer_(placer),
        evacuator_(evacuator),
        fit_(world, engine, fitting),
        archivist_(archivist),
        doctor_(std::move(doctor)) {}

  Result<HostFacts> host_facts() override;
  Result<std::vector<Vm>> vms() override;
  Result<std::vector<std::string>> replug_vm(std::string_view name_or_uuid,
                                             std::string_view requested_by) override;
  Result<Plan> make_plan(const MoveRequest& request) override;
  Result<Plan> plan(std::string_view id) override;
  Result<Move> start_move(const PlanApproval& approval) override;
  Result<Move> start_move(const MoveRequest& request) override;
  Result<std::vector<Move>> moves() override;
  Result<Move> move(std::string_view id) override;
  Result<Move> cancel_move(std::string_view id, std::string_view requested_by) override;
  Result<Move> resolve_move(std::string_view id, const api::MoveClaim& claim) override;
  Result<Move> converge_move(std::string_view id, const Convergence& policy,
                             std::string_view requested_by) override;
  Result<std::vector<Move>> queue() override;
  Result<Move> hold_move(std::string_view id, bool held, std::string_view requested_by) override;
  Result<Move> set_priority(std::string_view id, int priority,
                            std::string_view requested_by) override;
  Result<BestChoice> best_host(const BestRequest& request) override;
  Result<Evacuation> plan_evacuation(const EvacuationRequest& request) override;
  Result<Evacuation> start_evacuation(const EvacuationRequest& request) override;
  Result<std::vector<Evacuation>> evacuations() override;
  Result<Evacuation> cancel_evacuation(std::string_view requested_by) override;
  Result<Archive> plan_archive(const ArchiveRequest& request) override;
  Result<Archive> start_archive(const ArchiveRequest& request) override;
  Result<std::vector<Archive>> archives() override;
  Result<Archive> archive(std::string_view id) override;
  Result<Archive> cancel_archive(std::string_view id, std::string_view requested_by) override;
  Result<Archive> give_up_archive(std::string_view id, std::string_view requested_by) override;
  Result<std::vector<QuarantinedDisk>> quarantine() override;
  Status restore_quarantine(std::string_view move_id, std::string_view requested_by) override;
  Status drop_quarantine(std::string_view move_id, std::string_view requested_by) override;
  api::Fit& fit() override { return fit_; }
  Result<std::vector<Finding>> doctor() override;
  Status fix(std::string_view name, std::string_view requested_by) override;

 private:
  move::World& world_;
  move::Engine& engine_;
  move::Inventory& inventory_;
  place::Placer& placer_;
  place::Evacuator& evacuator_;
  FitBackend fit_;
  archive::Archivist& archivist_;
  const move::DoctorOptions doctor_;
};

}  // namespace drover::droverd
