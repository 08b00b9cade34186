// Calls a server through @grpc/grpc-js, from TensorFlow Serving's .proto files as they are, and
// prints what comes back, as one JSON object.
//
// usage: node use_grpc_js.js PROTOS GRPC_PORT      with the packages in NODE_PATH

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [protos, port] = process.argv.slice(2);
const apis = 'tensorflow_serving/apis';
const { serving } = grpc.loadPackageDefinition(
  loader.loadSync([`${apis}/prediction_service.proto`, `${apis}/model_service.proto`], {
    includeDirs: [protos],
    keepCase: true,
    longs: String,
    enums: String,
  }),
).tensorflow;

const address = `127.0.0.1:${port}`;
const credentials = grpc.credentials.createInsecure();
const prediction = new serving.PredictionService(address, credentials);
const models = new serving.ModelService(address, credentials);

// The call's answer, or [code, details] of its error.
function ask(client, method, request, milliseconds = 30000) {
  return new Promise((resolve) => {
    const deadline = new Date(Date.now() + milliseconds);
    client[method](request, { deadline }, (error, answer) =>
      resolve(error ? [grpc.status[error.code], error.details] : answer),
    );
  });
}

const spec = (name, more = {}) => ({ name, ...more });
const shape = (...sizes) => ({ dim: sizes.map((size) => ({ size })) });
const floats = (values) => ({
  dtype: 'DT_FLOAT',
  tensor_shape: shape(values.length),
  float_val: values,
});
const packed = (values) => ({
  dtype: 'DT_FLOAT',
  tensor_shape: shape(values.length),
  tensor_content: Buffer.from(Float32Array.from(values).buffer),
});
const several = {
  a: { dtype: 'DT_FLOAT', tensor_shape: shape(1, 2), float_val: [1, 2] },
  b: { dtype: 'DT_INT64', tensor_shape: shape(1), int64_val: ['9007199254740993'] },
  s: { dtype: 'DT_STRING', tensor_shape: shape(1), string_val: [Buffer.from('ü')] },
};
const slowly = { steps: { dtype: 'DT_INT32', tensor_shape: shape(), int_val: [600] } };
const examples = (...values) => ({
  example_list: {
    examples: values.map((value) => ({
      features: { feature: { x: { float_list: { value: [value] } } } },
    })),
  },
});

const predict = (model_spec, inputs, more = {}, milliseconds = undefined) =>
  ask(prediction, 'Predict', { model_spec, inputs, ...more }, milliseconds);

// Many calls at once on the one connection: the sums of what they answer.
async function many(count) {
  const calls = Array.from({ length: count }, (_, i) => predict(spec('half_plus'), { x: floats([i]) }));
  return (await Promise.all(calls)).reduce((sum, answer) => sum + answer.outputs.y.float_val[0], 0);
}

async function large(count) {
  const answer = await predict(spec('half_plus'), { x: packed(new Array(count).fill(2)) });
  return answer.outputs.y.float_val.filter((value) => value === 5).length;
}

// A call that is cancelled while its model runs.
function cancelled() {
  return new Promise((resolve) => {
    const request = { model_spec: spec('slow'), inputs: slowly };
    const call = prediction.Predict(request, (error) => resolve(grpc.status[error.code]));
    setTimeout(() => call.cancel(), 100);
  });
}

async function main() {
  const answers = {
    newest: await predict(spec('half_plus'), { x: floats([1, 2, 5]) }),
    tensor_content: await predict(spec('half_plus'), { x: packed([1, 2, 5]) }),
    label: await predict(spec('half_plus', { version_label: 'stable' }), { x: floats([1]) }),
    several: await predict(spec('shapes'), several),
    filtered: await predict(spec('shapes'), several, { output_filter: ['next'] }),
    classify: await ask(prediction, 'Classify', { model_spec: spec('heads'), input: examples(2, 4) }),
    regress: await ask(prediction, 'Regress', {
      model_spec: spec('heads', { signature_name: 'regress' }),
      input: examples(2, 4),
    }),
    metadata: await ask(prediction, 'GetModelMetadata', {
      model_spec: spec('heads'),
      metadata_field: ['signature_def'],
    }),
    status: await ask(models, 'GetModelStatus', { model_spec: spec('half_plus') }),
    many: await many(500),
    large: await large(1 << 19),
    unknown_model: await predict(spec('nope'), { x: floats([1]) }),
    missing_input: await predict(spec('shapes'), { a: several.a }),
    timeout: await predict(spec('slow'), slowly, {}, 200),
    cancelled: await cancelled(),
    unknown_method: await new Promise((resolve) =>
      prediction.makeUnaryRequest('/no.Such/Method', (x) => x, (x) => x, Buffer.alloc(0), (error) =>
        resolve(grpc.status[error.code]),
      ),
    ),
  };
  // Bytes are printed as base64.
  const text = (key, value) =>
    value?.type === 'Buffer' ? Buffer.from(value.data).toString('base64') : value;
  console.log(JSON.stringify(answers, text));
  prediction.close();
  models.close();
}

main();
