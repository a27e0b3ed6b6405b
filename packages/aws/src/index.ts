export {
  type AwsConfig,
  type AwsRoute,
  type AwsSettings,
  awsConfig,
  awsErrorCode,
  awsRoute,
  type CredentialProvider,
  explainAwsError,
  isDenied,
  readAwsInputs,
  takeRoute,
} from './credentials.ts';
