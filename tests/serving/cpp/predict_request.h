// Reads requests to TensorFlow Serving from their bytes.

#ifndef TFZOO_TESTS_PREDICT_REQUEST_H_
#define TFZOO_TESTS_PREDICT_REQUEST_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/protobuf/named_tensor.pb.h"

namespace tfzoo {

using WireFormatLite = google::protobuf::internal::WireFormatLite;

// A request may hold any bytes where a text belongs, but an error must be a text.
inline std::string Text(const std::string& text) {
  const bool valid = WireFormatLite::VerifyUtf8String(text.data(), static_cast<int>(text.size()),
                                                      WireFormatLite::SERIALIZE, "error");
  return valid ? text : absl::Utf8SafeCEscape(text);
}

inline std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
}

// A tensorflow.serving.PredictRequest, as far as it decides about the answer.
struct Request {
  std::string signature = "serving_default";
  std::map<std::string, tensorflow::TensorProto> inputs;
  std::vector<std::string> output_filter;
};

// The messages of TensorFlow Serving are no part of TensorFlow's libraries, so their fields are read
// one by one. Their numbers are those of tensorflow_serving/apis/{prediction_log,predict,model}.proto.

using Visitor = std::function<absl::Status(int number, const std::string& bytes)>;

// Hands each length-delimited field of a message to `visit` and skips all others.
inline absl::Status ReadFields(const std::string& message, const std::string& name, const Visitor& visit) {
  const absl::Status malformed = absl::InvalidArgumentError(
      absl::StrCat("The bytes of ", name, " are cut off or are no protocol buffer."));
  if (message.size() > std::numeric_limits<int>::max()) return malformed;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(message.data()),
                                                static_cast<int>(message.size()));
  while (const std::uint32_t tag = stream.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&stream, tag)) return malformed;
      continue;
    }
    int length = 0;
    std::string bytes;
    if (!stream.ReadVarintSizeAsInt(&length) || !stream.ReadString(&bytes, length)) return malformed;
    const absl::Status status = visit(WireFormatLite::GetTagFieldNumber(tag), bytes);
    if (!status.ok()) return status;
  }
  return stream.ConsumedEntireMessage() ? absl::OkStatus() : malformed;
}

inline absl::Status ReadInput(const std::string& entry, Request* request) {
  // An entry of map<string, TensorProto> has the fields of this message.
  tensorflow::NamedTensorProto input;
  if (!input.ParseFromString(entry)) {
    return absl::InvalidArgumentError(
        "The bytes of PredictRequest.inputs are cut off or are no map of TensorProto.");
  }
  request->inputs[input.name()] = std::move(*input.mutable_tensor());
  return absl::OkStatus();
}

inline absl::Status ReadPredictRequest(const std::string& message, Request* request) {
  return ReadFields(message, "PredictRequest", [request](int number, const std::string& bytes) {
    if (number == 2) return ReadInput(bytes, request);
    if (number == 3) request->output_filter.push_back(bytes);
    if (number != 1) return absl::OkStatus();
    return ReadFields(bytes, "PredictRequest.model_spec", [request](int number, const std::string& text) {
      if (number == 3 && !text.empty()) request->signature = text;
      return absl::OkStatus();
    });
  });
}

inline absl::Status ReadPredictionLog(const std::string& message, Request* request) {
  bool found = false;
  const auto read_predict_log = [&](int number, const std::string& bytes) {
    if (number != 1) return absl::OkStatus();
    found = true;
    return ReadPredictRequest(bytes, request);
  };
  const absl::Status status =
      ReadFields(message, "PredictionLog", [&](int number, const std::string& bytes) {
        if (number != 6) return absl::OkStatus();
        return ReadFields(bytes, "PredictionLog.predict_log", read_predict_log);
      });
  if (!status.ok() || found) return status;
  return absl::InvalidArgumentError("The record lacks PredictionLog.predict_log.request.");
}

}  // namespace tfzoo

#endif  // TFZOO_TESTS_PREDICT_REQUEST_H_
