"""Asks TensorFlow Serving over gRPC, with its ``PredictionService``."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfzoo.errors import TfzooError, UsageError
from tfzoo.serving.interface import Array, Client
from tfzoo.serving.metadata import describe, read_metadata

ASKED_WRONGLY = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND")


class GrpcClient(Client):
    """A model on a TensorFlow Serving server, through the extra ``grpc``.

    Args:
        address: ``host:port`` of the gRPC interface (8500 by default, not 8501).
        model: name of the model on the server.
        version: number of a version; None for the newest.
        timeout: seconds to wait for the server, for each answer.

    Raises:
        UsageError: the extra is not installed, or the server has no such model.
        TfzooError: the server cannot be reached.
    """

    def __init__(
        self, address: str, model: str, version: int | None = None, *, timeout: float = 10.0
    ) -> None:
        try:
            import grpc  # type: ignore[import-untyped]
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise UsageError("GrpcClient needs an extra: pip install 'tfzoo[grpc]'.") from None
        self.model = model
        self._grpc = grpc
        self._address = address
        self._version = version
        self._timeout = timeout
        # The limit of 4 MiB would refuse the answers of large batches.
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.signatures = read_metadata(self._describe())

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _run(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._fill(request.model_spec)
        request.model_spec.signature_name = signature
        for name, info in self.signatures[signature].inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(inputs[name], info.dtype))
        answer = self._ask_server(self._stub.Predict, request)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def _describe(self) -> dict[str, Any]:
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._fill(request.model_spec)
        answer = self._ask_server(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return describe(self.model, answer.model_spec.version.value, signatures.signature_def)

    def _fill(self, model_spec: Any) -> None:
        model_spec.name = self.model
        if self._version is not None:
            model_spec.version.value = self._version

    def _ask_server(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            code = error.code().name
            kind = UsageError if code in ASKED_WRONGLY else TfzooError
            raise kind(f"{self._address}, model '{self.model}': {code}: {error.details()}") from None
