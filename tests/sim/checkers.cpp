// SPDX-License-Identifier: Apache-2.0
#include "sim/checkers.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sim/checker_facts.h"
#include "sim/checker_properties.h"

namespace chatsdk::sim {

void Property::on(const Record&, const Facts&, Report&) {}
void Property::after(const Record&, const Facts&, Report&) {}
void Property::at_end(const FinalState&, const Facts&, Report&) {}

class Checkers::Impl final : public Report {
 public:
  explicit Impl(CheckerOptions options) : options_(options) {
    add_order_properties(properties_);
    add_durability_properties(properties_, options);
    add_receipt_properties(properties_);
    add_stream_properties(properties_);
    add_encryption_properties(properties_);
  }

  void on(const Record& record) {
    if (is_over()) return;
    number_ = record.number;
    for (const auto& property : properties_) property->on(record, facts_, *this);
    facts_.apply(record);
    for (const auto& property : properties_) property->after(record, facts_, *this);
  }

  void at_end(const FinalState& final_state) {
    if (is_over()) return;
    number_ = 0;
    for (const auto& property : properties_) property->at_end(final_state, facts_, *this);
    judge_liveness(final_state, facts_, *this);
  }

  void violation(std::string_view property, ConversationNumber conversation, std::string message) override {
    if (is_over() || !is_judged(property)) return;
    violations_.push_back({std::string(property), std::move(message), conversation, number_});
  }

  const std::vector<Violation>& violations() const { return violations_; }

 private:
  bool is_judged(std::string_view property) const {
    if (!options_.unaltered) return property == "S14" || property == "S17";
    if (options_.lied_to) {
      constexpr std::string_view kBehindALiar[] = {"S1", "S3", "S10", "S14", "S17", "L4", "L5"};
      return std::find(std::begin(kBehindALiar), std::end(kBehindALiar), property) != std::end(kBehindALiar);
    }
    return property != "S5" || options_.in_order;
  }
  bool is_over() const { return options_.stop_at_first && !violations_.empty(); }

  const CheckerOptions options_;
  Facts facts_;
  Properties properties_;
  std::vector<Violation> violations_;
  std::uint64_t number_ = 0;
};

Checkers::Checkers(CheckerOptions options) : impl_(std::make_unique<Impl>(options)) {}
Checkers::~Checkers() = default;
void Checkers::on(const Record& record) { impl_->on(record); }
void Checkers::at_end(const FinalState& final_state) { impl_->at_end(final_state); }
bool Checkers::ok() const { return impl_->violations().empty(); }
const std::vector<Violation>& Checkers::violations() const { return impl_->violations(); }

std::string to_line(const Violation& violation) {
  std::string line = violation.property;
  if (violation.conversation != kNoConversation) line += " in conversation " + std::to_string(violation.conversation);
  line += violation.event == 0 ? std::string(" at the end") : " at event " + std::to_string(violation.event);
  return line + ": " + violation.message;
}

}  // namespace chatsdk::sim
