#include "core/config/published_types.h"

#include <algorithm>
#include <iterator>

namespace weir::config {
namespace {

struct Package {
  std::string_view name;
  std::string_view types;  // separated by commas
};

// Sorted by name. Facts about the published API; what api/proto declares is not here (a test sees to it).
constexpr Package kPackages[] = {
    {"envoy.config.grpc_credential.v3", "FileBasedMetadataConfig"},
    {"envoy.config.trace.v3",
     "ClientConfig,DatadogConfig,DatadogRemoteConfig,DynamicOtConfig,LightstepConfig,SkyWalkingConfig,"
     "TraceServiceConfig,XRayConfig"},
    {"envoy.config.upstream.local_address_selector.v3", "DefaultLocalAddressSelector"},
    {"envoy.extensions.access_loggers.dynamic_modules.v3", "DynamicModuleAccessLog"},
    {"envoy.extensions.access_loggers.filters.process_ratelimit.v3", "DynamicTokenBucket,ProcessRateLimitFilter"},
    {"envoy.extensions.access_loggers.fluentd.v3", "FluentdAccessLogConfig"},
    {"envoy.extensions.access_loggers.stats.v3", "Config"},
    {"envoy.extensions.access_loggers.wasm.v3", "WasmAccessLog"},
    {"envoy.extensions.bootstrap.dynamic_modules.v3", "DynamicModuleBootstrapExtension"},
    {"envoy.extensions.bootstrap.reverse_tunnel.downstream_socket_interface.v3",
     "DownstreamReverseConnectionSocketInterface"},
    {"envoy.extensions.bootstrap.reverse_tunnel.upstream_socket_interface.v3",
     "UpstreamReverseConnectionSocketInterface"},
    {"envoy.extensions.clusters.composite.v3", "ClusterConfig"},
    {"envoy.extensions.clusters.redis.v3", "RedisClusterConfig"},
    {"envoy.extensions.clusters.reverse_connection.v3", "ReverseConnectionClusterConfig"},
    {"envoy.extensions.common.aws.v3",
     "AssumeRoleCredentialProvider,AssumeRoleWithWebIdentityCredentialProvider,AwsCredentialProvider,"
     "ConfigCredentialProvider,ContainerCredentialProvider,CredentialsFileCredentialProvider,"
     "EnvironmentCredentialProvider,IAMRolesAnywhereCredentialProvider,InlineCredentialProvider,"
     "InstanceProfileCredentialProvider"},
    {"envoy.extensions.compression.qatzip.compressor.v3alpha", "Qatzip"},
    {"envoy.extensions.compression.qatzstd.compressor.v3alpha", "Qatzstd"},
    {"envoy.extensions.config.v3alpha", "KeyValueStoreXdsDelegateConfig"},
    {"envoy.extensions.config.validators.minimum_clusters.v3", "MinimumClustersValidator"},
    {"envoy.extensions.early_data.v3", "DefaultEarlyDataPolicy"},
    {"envoy.extensions.filters.common.dependency.v3", "Dependency,FilterDependencies,MatchingRequirements"},
    {"envoy.extensions.filters.http.alternate_protocols_cache.v3", "FilterConfig"},
    {"envoy.extensions.filters.http.aws_lambda.v3", "Config,Credentials,PerRouteConfig"},
    {"envoy.extensions.filters.http.aws_request_signing.v3", "AwsRequestSigning,AwsRequestSigningPerRoute"},
    {"envoy.extensions.filters.http.cache_v2.v3", "CacheV2Config"},
    {"envoy.extensions.filters.http.cdn_loop.v3", "CdnLoopConfig"},
    {"envoy.extensions.filters.http.checksum.v3alpha", "ChecksumConfig"},
    {"envoy.extensions.filters.http.composite.v3",
     "Composite,DynamicConfig,ExecuteFilterAction,FilterChainConfiguration"},
    {"envoy.extensions.filters.http.connect_grpc_bridge.v3", "FilterConfig"},
    {"envoy.extensions.filters.http.credential_injector.v3", "CredentialInjector"},
    {"envoy.extensions.filters.http.dynamo.v3", "Dynamo"},
    {"envoy.extensions.filters.http.file_system_buffer.v3", "BufferBehavior,FileSystemBufferFilterConfig,StreamConfig"},
    {"envoy.extensions.filters.http.gcp_authn.v3", "Audience,GcpAuthnFilterConfig,TokenCacheConfig,TokenHeader"},
    {"envoy.extensions.filters.http.geoip.v3", "Geoip"},
    {"envoy.extensions.filters.http.golang.v3alpha", "Config,ConfigsPerRoute,RouterPlugin"},
    {"envoy.extensions.filters.http.grpc_field_extraction.v3",
     "FieldExtractions,GrpcFieldExtractionConfig,RequestFieldValueDisposition"},
    {"envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3", "FilterConfig,FilterConfigPerRoute"},
    {"envoy.extensions.filters.http.grpc_json_reverse_transcoder.v3", "GrpcJsonReverseTranscoder"},
    {"envoy.extensions.filters.http.grpc_json_transcoder.v3", "GrpcJsonTranscoder,UnknownQueryParams"},
    {"envoy.extensions.filters.http.gzip.v3", "Gzip"},
    {"envoy.extensions.filters.http.json_to_metadata.v3", "JsonToMetadata"},
    {"envoy.extensions.filters.http.kill_request.v3", "KillRequest"},
    {"envoy.extensions.filters.http.language.v3alpha", "Language"},
    {"envoy.extensions.filters.http.mcp.v3", "Mcp,McpOverride,ParserConfig"},
    {"envoy.extensions.filters.http.mcp_router.v3",
     "DynamicMetadataSource,HeaderSource,IdentityExtractor,McpRouter,SessionIdentity,ValidationPolicy"},
    {"envoy.extensions.filters.http.oauth2.v3", "CookieConfig,CookieConfigs,OAuth2,OAuth2Config,OAuth2Credentials"},
    {"envoy.extensions.filters.http.original_src.v3", "OriginalSrc"},
    {"envoy.extensions.filters.http.peak_ewma.v3alpha", "PeakEwmaConfig"},
    {"envoy.extensions.filters.http.proto_api_scrubber.v3",
     "DescriptorSet,MessageRestrictions,MethodRestrictions,ProtoApiScrubberConfig,RemoveFieldAction,RestrictionConfig,"
     "Restrictions"},
    {"envoy.extensions.filters.http.proto_message_extraction.v3", "MethodExtraction,ProtoMessageExtractionConfig"},
    {"envoy.extensions.filters.http.rate_limit_quota.v3",
     "RateLimitQuotaBucketSettings,RateLimitQuotaFilterConfig,RateLimitQuotaOverride"},
    {"envoy.extensions.filters.http.sxg.v3alpha", "SXG"},
    {"envoy.extensions.filters.http.thrift_to_metadata.v3",
     "FieldSelector,KeyValuePair,Rule,ThriftToMetadata,ThriftToMetadataPerRoute"},
    {"envoy.extensions.filters.http.transform.v3", "BodyTransformation,TransformConfig,Transformation"},
    {"envoy.extensions.filters.http.wasm.v3", "Wasm"},
    {"envoy.extensions.filters.listener.postgres_inspector.v3alpha", "PostgresInspector,StartupMetadata"},
    {"envoy.extensions.filters.network.client_ssl_auth.v3", "ClientSSLAuth"},
    {"envoy.extensions.filters.network.dubbo_proxy.router.v3", "Router"},
    {"envoy.extensions.filters.network.dubbo_proxy.v3",
     "Drds,DubboFilter,DubboProxy,MethodMatch,MultipleRouteConfiguration,Route,RouteAction,RouteConfiguration,"
     "RouteMatch"},
    {"envoy.extensions.filters.network.ext_proc.v3", "MetadataOptions,NetworkExternalProcessor,ProcessingMode"},
    {"envoy.extensions.filters.network.generic_proxy.action.v3", "RouteAction"},
    {"envoy.extensions.filters.network.generic_proxy.codecs.dubbo.v3", "DubboCodecConfig"},
    {"envoy.extensions.filters.network.generic_proxy.codecs.http1.v3", "Http1CodecConfig"},
    {"envoy.extensions.filters.network.generic_proxy.codecs.kafka.v3", "KafkaCodecConfig"},
    {"envoy.extensions.filters.network.generic_proxy.matcher.v3",
     "HostMatchInput,KeyValueMatchEntry,MethodMatchInput,PathMatchInput,PropertyMatchInput,RequestMatchInput,"
     "RequestMatcher,ServiceMatchInput"},
    {"envoy.extensions.filters.network.generic_proxy.router.v3", "Router"},
    {"envoy.extensions.filters.network.generic_proxy.v3", "GenericProxy,GenericRds,RouteConfiguration,VirtualHost"},
    {"envoy.extensions.filters.network.geoip.v3", "Geoip"},
    {"envoy.extensions.filters.network.golang.v3alpha", "Config"},
    {"envoy.extensions.filters.network.kafka_broker.v3",
     "IdBasedBrokerRewriteRule,IdBasedBrokerRewriteSpec,KafkaBroker"},
    {"envoy.extensions.filters.network.kafka_mesh.v3alpha", "ForwardingRule,KafkaClusterDefinition,KafkaMesh"},
    {"envoy.extensions.filters.network.mongo_proxy.v3", "MongoProxy"},
    {"envoy.extensions.filters.network.mysql_proxy.v3", "MySQLProxy"},
    {"envoy.extensions.filters.network.postgres_proxy.v3alpha", "PostgresProxy"},
    {"envoy.extensions.filters.network.ratelimit.v3", "RateLimit"},
    {"envoy.extensions.filters.network.redis_proxy.v3",
     "AwsIam,RedisExternalAuthProvider,RedisProtocolOptions,RedisProxy"},
    {"envoy.extensions.filters.network.reverse_tunnel.v3", "ReverseTunnel,Validation"},
    {"envoy.extensions.filters.network.rocketmq_proxy.v3",
     "RocketmqProxy,Route,RouteAction,RouteConfiguration,RouteMatch"},
    {"envoy.extensions.filters.network.sip_proxy.router.v3alpha", "Router"},
    {"envoy.extensions.filters.network.sip_proxy.tra.v3alpha",
     "CreateRequest,CreateResponse,DeleteRequest,DeleteResponse,RetrieveRequest,RetrieveResponse,SubscribeRequest,"
     "SubscribeResponse,TraServiceConfig,TraServiceRequest,TraServiceResponse,UpdateRequest,UpdateResponse"},
    {"envoy.extensions.filters.network.sip_proxy.v3alpha",
     "Cache,CustomizedAffinity,CustomizedAffinityEntry,LocalService,Route,RouteAction,RouteConfiguration,RouteMatch,"
     "SipFilter,SipProtocolOptions,SipProxy"},
    {"envoy.extensions.filters.network.thrift_proxy.filters.header_to_metadata.v3", "HeaderToMetadata"},
    {"envoy.extensions.filters.network.thrift_proxy.filters.payload_to_metadata.v3", "PayloadToMetadata"},
    {"envoy.extensions.filters.network.thrift_proxy.filters.ratelimit.v3", "RateLimit"},
    {"envoy.extensions.filters.network.thrift_proxy.router.v3", "Router"},
    {"envoy.extensions.filters.network.thrift_proxy.v3",
     "Route,RouteAction,RouteConfiguration,RouteMatch,ThriftFilter,ThriftProtocolOptions,ThriftProxy,Trds,"
     "WeightedCluster"},
    {"envoy.extensions.filters.network.wasm.v3", "Wasm"},
    {"envoy.extensions.filters.network.zookeeper_proxy.v3", "LatencyThresholdOverride,ZooKeeperProxy"},
    {"envoy.extensions.filters.udp.dns_filter.v3", "DnsFilterConfig"},
    {"envoy.extensions.filters.udp.dynamic_modules.v3", "DynamicModuleUdpListenerFilter"},
    {"envoy.extensions.filters.udp.udp_proxy.session.dynamic_forward_proxy.v3", "FilterConfig"},
    {"envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3", "FilterConfig"},
    {"envoy.extensions.formatter.cel.v3", "Cel"},
    {"envoy.extensions.geoip_providers.common.v3", "CommonGeoipProviderConfig"},
    {"envoy.extensions.geoip_providers.maxmind.v3", "MaxMindConfig"},
    {"envoy.extensions.grpc_service.call_credentials.access_token.v3", "AccessTokenCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.file_based_metadata.v3", "FileBasedMetadataCallCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.google_compute_engine.v3", "GoogleComputeEngineCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.google_iam.v3", "GoogleIamCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.google_refresh_token.v3", "GoogleRefreshTokenCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.service_account_jwt_access.v3",
     "ServiceAccountJwtAccessCredentials"},
    {"envoy.extensions.grpc_service.call_credentials.sts_service.v3", "StsServiceCredentials"},
    {"envoy.extensions.grpc_service.channel_credentials.google_default.v3", "GoogleDefaultCredentials"},
    {"envoy.extensions.grpc_service.channel_credentials.insecure.v3", "InsecureCredentials"},
    {"envoy.extensions.grpc_service.channel_credentials.local.v3", "LocalCredentials"},
    {"envoy.extensions.grpc_service.channel_credentials.tls.v3", "TlsCredentials"},
    {"envoy.extensions.grpc_service.channel_credentials.xds.v3", "XdsCredentials"},
    {"envoy.extensions.health_checkers.redis.v3", "Redis"},
    {"envoy.extensions.health_checkers.thrift.v3", "Thrift"},
    {"envoy.extensions.http.cache_v2.file_system_http_cache.v3", "FileSystemHttpCacheV2Config"},
    {"envoy.extensions.http.cache_v2.simple_http_cache.v3", "SimpleHttpCacheV2Config"},
    {"envoy.extensions.http.custom_response.redirect_policy.v3", "RedirectPolicy"},
    {"envoy.extensions.http.ext_proc.processing_request_modifiers.mapped_attribute_builder.v3",
     "MappedAttributeBuilder"},
    {"envoy.extensions.http.ext_proc.response_processors.save_processing_response.v3", "SaveProcessingResponse"},
    {"envoy.extensions.http.header_validators.envoy_default.v3", "HeaderValidatorConfig"},
    {"envoy.extensions.http.injected_credentials.generic.v3", "Generic"},
    {"envoy.extensions.http.injected_credentials.oauth2.v3", "OAuth2"},
    {"envoy.extensions.http.stateful_session.envelope.v3", "EnvelopeSessionState"},
    {"envoy.extensions.key_value.file_based.v3", "FileBasedKeyValueStoreConfig"},
    {"envoy.extensions.local_address_selectors.filter_state_override.v3", "Config"},
    {"envoy.extensions.matching.common_inputs.environment_variable.v3", "Config"},
    {"envoy.extensions.matching.common_inputs.stats.v3", "StatFullNameMatchInput"},
    {"envoy.extensions.matching.common_inputs.transport_socket.v3",
     "EndpointMetadataInput,FilterStateInput,LocalityMetadataInput,TransportSocketNameAction"},
    {"envoy.extensions.matching.input_matchers.consistent_hashing.v3", "ConsistentHashing"},
    {"envoy.extensions.matching.input_matchers.hyperscan.v3alpha", "Hyperscan"},
    {"envoy.extensions.matching.input_matchers.runtime_fraction.v3", "RuntimeFraction"},
    {"envoy.extensions.network.connection_balance.dlb.v3alpha", "Dlb"},
    {"envoy.extensions.network.dns_resolver.apple.v3", "AppleDnsResolverConfig"},
    {"envoy.extensions.outlier_detection_monitors.common.v3",
     "DatabaseErrors,ErrorBuckets,HttpErrors,LocalOriginErrors"},
    {"envoy.extensions.outlier_detection_monitors.consecutive_errors.v3", "ConsecutiveErrors"},
    {"envoy.extensions.private_key_providers.cryptomb.v3alpha", "CryptoMbPrivateKeyMethodConfig"},
    {"envoy.extensions.private_key_providers.kae.v3alpha", "KaePrivateKeyMethodConfig"},
    {"envoy.extensions.private_key_providers.qat.v3alpha", "QatPrivateKeyMethodConfig"},
    {"envoy.extensions.quic.client_writer_factory.v3", "DefaultClientWriter"},
    {"envoy.extensions.quic.connection_debug_visitor.quic_stats.v3", "Config"},
    {"envoy.extensions.quic.connection_debug_visitor.v3", "BasicConfig"},
    {"envoy.extensions.quic.connection_id_generator.quic_lb.v3", "Config"},
    {"envoy.extensions.quic.connection_id_generator.v3", "DeterministicConnectionIdGeneratorConfig"},
    {"envoy.extensions.quic.crypto_stream.v3", "CryptoServerStreamConfig"},
    {"envoy.extensions.quic.proof_source.v3", "ProofSourceConfig"},
    {"envoy.extensions.quic.server_preferred_address.v3",
     "DataSourceServerPreferredAddressConfig,FixedServerPreferredAddressConfig"},
    {"envoy.extensions.rate_limit_descriptors.expr.v3", "Descriptor"},
    {"envoy.extensions.rbac.audit_loggers.stream.v3", "StdoutAuditLog"},
    {"envoy.extensions.rbac.matchers.upstream_ip_port.v3", "UpstreamIpPortMatcher"},
    {"envoy.extensions.rbac.principals.mtls_authenticated.v3", "Config"},
    {"envoy.extensions.regex_engines.hyperscan.v3alpha", "Hyperscan"},
    {"envoy.extensions.router.cluster_specifier.golang.v3alpha", "Config"},
    {"envoy.extensions.router.cluster_specifiers.lua.v3", "LuaConfig"},
    {"envoy.extensions.stat_sinks.graphite_statsd.v3", "GraphiteStatsdSink"},
    {"envoy.extensions.stat_sinks.wasm.v3", "Wasm"},
    {"envoy.extensions.string_matcher.lua.v3", "Lua"},
    {"envoy.extensions.tap_sinks.udp_sink.v3alpha", "UdpSink"},
    {"envoy.extensions.tracers.fluentd.v3", "FluentdConfig"},
    {"envoy.extensions.tracers.opentelemetry.resource_detectors.v3", "DynatraceResourceDetectorConfig"},
    {"envoy.extensions.tracers.opentelemetry.samplers.v3",
     "CELSamplerConfig,DynatraceSamplerConfig,ParentBasedSamplerConfig,TraceIdRatioBasedSamplerConfig"},
    {"envoy.extensions.transport_sockets.alts.v3", "Alts"},
    {"envoy.extensions.transport_sockets.http_11_proxy.v3", "Http11ProxyUpstreamTransport"},
    {"envoy.extensions.transport_sockets.quic.v3", "QuicDownstreamTransport,QuicUpstreamTransport"},
    {"envoy.extensions.transport_sockets.s2a.v3", "S2AConfiguration"},
    {"envoy.extensions.transport_sockets.starttls.v3", "StartTlsConfig,UpstreamStartTlsConfig"},
    {"envoy.extensions.transport_sockets.tcp_stats.v3", "Config"},
    {"envoy.extensions.transport_sockets.tls.cert_mappers.filter_state_override.v3", "Config"},
    {"envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3", "SNI"},
    {"envoy.extensions.transport_sockets.tls.cert_mappers.static_name.v3", "StaticName"},
    {"envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3", "Config"},
    {"envoy.extensions.udp_packet_writer.v3", "UdpDefaultWriterFactory,UdpGsoBatchWriterFactory"},
    {"envoy.extensions.upstreams.http.generic.v3", "GenericConnectionPoolProto"},
    {"envoy.extensions.upstreams.http.http.v3", "HttpConnectionPoolProto"},
    {"envoy.extensions.upstreams.http.tcp.golang.v3alpha", "Config"},
    {"envoy.extensions.upstreams.http.tcp.v3", "TcpConnectionPoolProto"},
    {"envoy.extensions.upstreams.http.udp.v3", "UdpConnectionPoolProto"},
    {"envoy.extensions.upstreams.tcp.generic.v3", "GenericConnectionPoolProto"},
    {"envoy.extensions.vcl.v3alpha", "VclSocketInterface"},
    {"envoy.extensions.wasm.v3",
     "CapabilityRestrictionConfig,EnvironmentVariables,PluginConfig,ReloadConfig,SanitizationConfig,VmConfig,"
     "WasmService"},
    {"envoy.extensions.watchdog.profile_action.v3", "ProfileActionConfig"},
};

}  // namespace

bool is_published_type(std::string_view type) {
  const size_t dot = type.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view name = type.substr(dot + 1);
  const auto* at = std::lower_bound(std::begin(kPackages), std::end(kPackages), type.substr(0, dot),
                                    [](const Package& one, std::string_view wanted) { return one.name < wanted; });
  if (at == std::end(kPackages) || at->name != type.substr(0, dot)) return false;
  for (std::string_view rest = at->types; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(','));
    if (one == name) return true;
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  return false;
}

std::vector<std::string> published_types() {
  std::vector<std::string> out;
  for (const Package& package : kPackages) {
    for (std::string_view rest = package.types; !rest.empty();) {
      const std::string_view one = rest.substr(0, rest.find(','));
      out.push_back(std::string(package.name) + "." + std::string(one));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    }
  }
  return out;
}

}  // namespace weir::config
