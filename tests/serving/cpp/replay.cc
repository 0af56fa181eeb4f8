// Answers requests to exported models as TensorFlow Serving does, in one process and without Python.
//
//   replay [--repeat N] [--unchecked] MODEL REQUESTS ANSWERS [MODEL REQUESTS ANSWERS ...]
//
// MODEL is the folder of one version of an export. REQUESTS is a TFRecord file of serialized
// tensorflow.serving.PredictionLog, the format of a model's warm-up requests. ANSWERS becomes a
// TFRecord file with one serialized tensorflow.NameAttrList a request: `name` is the error, empty
// where there is none; `attr` has the output tensors by name.
//
// A bad request gets an error that names what is wrong with it, and the next one is answered.
// With --repeat, each request is answered N times more, after a warm-up of its own, and a line of JSON
// says how long that took. With --unchecked, types and shapes are not compared with the signature
// beforehand: TensorFlow Serving leaves them to the graph.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/public/session.h"

#include "predict_request.h"

namespace {

using tensorflow::SignatureDef;
using tensorflow::Tensor;
using tfzoo::Quoted;
using tfzoo::ReadPredictionLog;
using tfzoo::Request;
using tfzoo::Text;

struct Options {
  int repeat = 0;
  bool unchecked = false;
  std::vector<std::string> files;
};

template <typename Map>
std::string Names(const Map& map) {
  std::vector<std::string> names;
  for (const auto& entry : map) names.push_back(Quoted(entry.first));
  std::sort(names.begin(), names.end());
  return absl::StrJoin(names, ", ");
}

// What TensorFlow Serving checks: the inputs of the request are those of the signature.
absl::Status CheckNames(const SignatureDef& signature, const Request& request) {
  std::map<std::string, int> missing, extra;
  for (const auto& input : signature.inputs()) {
    if (request.inputs.count(input.first) == 0) missing[input.first] = 1;
  }
  for (const auto& input : request.inputs) {
    if (signature.inputs().count(input.first) == 0) extra[input.first] = 1;
  }
  if (missing.empty() && extra.empty()) return absl::OkStatus();
  std::vector<std::string> problems;
  if (!missing.empty()) problems.push_back(absl::StrCat("lacks ", Names(missing)));
  if (!extra.empty()) problems.push_back(absl::StrCat("has ", Names(extra), " too many"));
  return absl::InvalidArgumentError(absl::StrCat("Signature ", Quoted(request.signature), " takes the inputs ",
                                                 Names(signature.inputs()), "; the request ",
                                                 absl::StrJoin(problems, " and "), "."));
}

// What TensorFlow Serving leaves to the graph: the type and the shape of one input.
absl::Status CheckTensor(const tensorflow::TensorInfo& expected, const tensorflow::TensorProto& tensor,
                         const std::string& where) {
  if (tensor.dtype() != expected.dtype()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " must be ",
                                                   tensorflow::DataTypeString(expected.dtype()), ", not ",
                                                   tensorflow::DataTypeString(tensor.dtype()), "."));
  }
  tensorflow::PartialTensorShape shape, given;
  absl::Status status = tensorflow::PartialTensorShape::BuildPartialTensorShape(expected.tensor_shape(), &shape);
  status.Update(tensorflow::PartialTensorShape::BuildPartialTensorShape(tensor.tensor_shape(), &given));
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(where, ": ", status.message()));
  if (shape.IsCompatibleWith(given)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, " must have the shape ", shape.DebugString(), ", not ",
                                                 given.DebugString(), "."));
}

// An exported model, asked by the names that its signatures give.
class Server {
 public:
  Server(const std::string& folder, bool unchecked) : unchecked_(unchecked) {
    status_ = tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(), folder,
                                         {"serve"}, &bundle_);
  }

  const absl::Status& status() const { return status_; }

  // Returns a serialized NameAttrList.
  std::string Answer(const std::string& record) const {
    tensorflow::NameAttrList answer;
    const absl::Status status = Predict(record, &answer);
    if (!status.ok()) {
      answer.Clear();
      answer.set_name(Text(status.ToString()));
    }
    return answer.SerializeAsString();
  }

 private:
  absl::Status Predict(const std::string& record, tensorflow::NameAttrList* answer) const {
    Request request;
    absl::Status status = ReadPredictionLog(record, &request);
    if (!status.ok()) return status;
    const auto found = bundle_.GetSignatures().find(request.signature);
    if (found == bundle_.GetSignatures().end()) {
      return absl::FailedPreconditionError(absl::StrCat("Signature ", Quoted(request.signature),
                                                        " is none of the model's: ",
                                                        Names(bundle_.GetSignatures()), "."));
    }
    std::vector<std::pair<std::string, Tensor>> inputs;
    std::vector<std::string> names, tensors;
    status = ReadTensors(found->second, request, &inputs);
    if (status.ok()) status = ChooseOutputs(found->second, request, &names, &tensors);
    if (!status.ok()) return status;
    std::vector<Tensor> outputs;
    status = bundle_.GetSession()->Run(inputs, tensors, {}, &outputs);
    if (!status.ok()) return status;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].AsProtoField((*answer->mutable_attr())[names[i]].mutable_tensor());
    }
    return absl::OkStatus();
  }

  absl::Status ReadTensors(const SignatureDef& signature, const Request& request,
                           std::vector<std::pair<std::string, Tensor>>* inputs) const {
    const absl::Status status = CheckNames(signature, request);
    if (!status.ok()) return status;
    for (const auto& [name, tensor] : request.inputs) {
      const tensorflow::TensorInfo& expected = signature.inputs().at(name);
      const std::string where =
          absl::StrCat("Input ", Quoted(name), " of signature ", Quoted(request.signature));
      const absl::Status wrong = unchecked_ ? absl::OkStatus() : CheckTensor(expected, tensor, where);
      if (!wrong.ok()) return wrong;
      Tensor value;
      if (!value.FromProto(tensor)) {
        return absl::InvalidArgumentError(absl::StrCat(where, " is a tensor without proper values."));
      }
      inputs->emplace_back(expected.name(), std::move(value));
    }
    return absl::OkStatus();
  }

  static absl::Status ChooseOutputs(const SignatureDef& signature, const Request& request,
                                    std::vector<std::string>* names, std::vector<std::string>* tensors) {
    *names = request.output_filter;
    if (names->empty()) {
      for (const auto& output : signature.outputs()) names->push_back(output.first);
    }
    for (const std::string& name : *names) {
      const auto found = signature.outputs().find(name);
      if (found == signature.outputs().end()) {
        return absl::InvalidArgumentError(absl::StrCat("Output ", Quoted(name), " of output_filter is none of ",
                                                       Names(signature.outputs()), "."));
      }
      tensors->push_back(found->second.name());
    }
    return absl::OkStatus();
  }

  tensorflow::SavedModelBundleLite bundle_;
  absl::Status status_;
  bool unchecked_;
};

std::string Json(const std::string& text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') quoted += '\\';
    const bool control = static_cast<unsigned char>(letter) < 0x20;
    quoted += control ? absl::StrCat("\\u", absl::Hex(letter, absl::kZeroPad4)) : std::string(1, letter);
  }
  return quoted + "\"";
}

// The first dimension of the inputs and the largest k, -1 where the request has none.
std::pair<std::int64_t, std::int64_t> BatchAndK(const Request& request) {
  std::int64_t batch = -1, largest = -1;
  for (const auto& [name, proto] : request.inputs) {
    if (proto.tensor_shape().dim_size() > 0) batch = proto.tensor_shape().dim(0).size();
    Tensor k;
    if (name != "k" || proto.dtype() != tensorflow::DT_INT32 || !k.FromProto(proto)) continue;
    const auto values = k.flat<std::int32_t>();
    for (std::int64_t i = 0; i < values.size(); ++i) largest = std::max<std::int64_t>(largest, values(i));
  }
  return {batch, largest};
}

// Answers a request again and again, decoding and encoding included, and prints the time it took.
void Measure(const Server& server, const std::string& model, const std::string& record, int repeat) {
  Request request;
  if (!ReadPredictionLog(record, &request).ok()) return;
  for (int i = 0; i < std::max(20, repeat / 5); ++i) server.Answer(record);
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    server.Answer(record);
    const auto stop = std::chrono::steady_clock::now();
    times.push_back(std::chrono::duration<double, std::micro>(stop - start).count());
  }
  std::sort(times.begin(), times.end());
  const auto percentile = [&times](double share) {
    return times[static_cast<std::size_t>(std::ceil(share * static_cast<double>(times.size()))) - 1];
  };
  const double mean = std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  const auto [batch, k] = BatchAndK(request);
  std::cout << "{\"model\": " << Json(model) << ", \"signature\": " << Json(request.signature)
            << ", \"batch\": " << batch << ", \"k\": " << k << ", \"repeat\": " << repeat
            << ", \"p50_us\": " << percentile(0.5) << ", \"p99_us\": " << percentile(0.99)
            << ", \"mean_us\": " << mean << "}" << std::endl;
}

absl::Status Replay(const std::string& model, const std::string& requests, const std::string& answers,
                    const Options& options) {
  const Server server(model, options.unchecked);
  if (!server.status().ok()) return server.status();
  std::unique_ptr<tensorflow::RandomAccessFile> input;
  std::unique_ptr<tensorflow::WritableFile> output;
  absl::Status status = tensorflow::Env::Default()->NewRandomAccessFile(requests, &input);
  if (status.ok()) status = tensorflow::Env::Default()->NewWritableFile(answers, &output);
  if (!status.ok()) return status;
  tensorflow::io::SequentialRecordReader reader(input.get());
  tensorflow::io::RecordWriter writer(output.get());
  tensorflow::tstring record;
  while ((status = reader.ReadRecord(&record)).ok()) {
    const std::string bytes(record);
    const absl::Status written = writer.WriteRecord(server.Answer(bytes));
    if (!written.ok()) return written;
    if (options.repeat > 0) Measure(server, model, bytes, options.repeat);
  }
  // The end of the file is out of range; anything else is damage.
  if (!absl::IsOutOfRange(status)) return status;
  status = writer.Close();
  return status.ok() ? output->Close() : status;
}

bool ReadOptions(const std::vector<std::string>& arguments, Options* options) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--unchecked") {
      options->unchecked = true;
    } else if (arguments[i] == "--repeat") {
      if (++i == arguments.size() || !absl::SimpleAtoi(arguments[i], &options->repeat)) return false;
    } else {
      options->files.push_back(arguments[i]);
    }
  }
  return !options->files.empty() && options->files.size() % 3 == 0 && options->repeat >= 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ReadOptions({argv + 1, argv + argc}, &options)) {
    std::cerr << "usage: replay [--repeat N] [--unchecked] MODEL REQUESTS ANSWERS ..." << std::endl;
    return 2;
  }
  for (std::size_t i = 0; i < options.files.size(); i += 3) {
    const std::string& model = options.files[i];
    const absl::Status status = Replay(model, options.files[i + 1], options.files[i + 2], options);
    if (!status.ok()) {
      std::cerr << "replay: " << model << ": " << status << std::endl;
      return 1;
    }
  }
  return 0;
}
