using System.Globalization;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Google.Protobuf.Reflection;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc.BuiltIn;

/// <summary>The .proto files behind a set of services, by file name and by symbol.</summary>
internal sealed class DescriptorIndex
{
    private readonly Dictionary<string, FileDescriptor> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FileDescriptor> _symbols = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _services = new(StringComparer.Ordinal);

    /// <summary>Takes in a service, its file, and everything that this imports.</summary>
    internal void Add(ServiceDescriptor service)
    {
        _services.Add(service.FullName);
        AddFile(service.File);
    }

    /// <summary>Answers one request; what can't be found is an error inside the answer, by the protocol.</summary>
    internal ServerReflectionResponse Answer(ServerReflectionRequest request)
    {
        ServerReflectionResponse response = Find(request);
        response.ValidHost = request.Host;
        response.OriginalRequest = request;
        return response;
    }

    private ServerReflectionResponse Find(ServerReflectionRequest request) => request.MessageRequestCase switch
    {
        ServerReflectionRequest.MessageRequestOneofCase.ListServices => ListServices(),
        ServerReflectionRequest.MessageRequestOneofCase.FileByFilename =>
            FileOf(_files, request.FileByFilename, $"There is no file '{request.FileByFilename}'."),
        ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol =>
            FileOf(_symbols, request.FileContainingSymbol, $"There is no symbol '{request.FileContainingSymbol}'."),
        ServerReflectionRequest.MessageRequestOneofCase.FileContainingExtension =>
            Error(StatusCode.NotFound, string.Create(
                CultureInfo.InvariantCulture,
                $"There is no extension {request.FileContainingExtension.ExtensionNumber} of '{request.FileContainingExtension.ContainingType}'.")),
        ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType => NoExtensions(request.AllExtensionNumbersOfType),
        _ => Error(StatusCode.InvalidArgument, "The request asks for nothing: set one of message_request."),
    };

    private void AddFile(FileDescriptor file)
    {
        if (!_files.TryAdd(file.Name, file))
        {
            return;
        }

        foreach (ServiceDescriptor service in file.Services)
        {
            _symbols[service.FullName] = file;
            foreach (MethodDescriptor method in service.Methods)
            {
                _symbols[method.FullName] = file;
            }
        }

        foreach (EnumDescriptor enumeration in file.EnumTypes)
        {
            AddEnum(enumeration);
        }

        foreach (MessageDescriptor message in file.MessageTypes)
        {
            AddMessage(message);
        }

        foreach (FileDescriptor import in file.Dependencies)
        {
            AddFile(import);
        }
    }

    private void AddMessage(MessageDescriptor message)
    {
        _symbols[message.FullName] = message.File;
        foreach (FieldDescriptor field in message.Fields.InDeclarationOrder())
        {
            _symbols[field.FullName] = message.File;
        }

        foreach (OneofDescriptor oneof in message.Oneofs)
        {
            _symbols[oneof.FullName] = message.File;
        }

        foreach (EnumDescriptor enumeration in message.EnumTypes)
        {
            AddEnum(enumeration);
        }

        foreach (MessageDescriptor nested in message.NestedTypes)
        {
            AddMessage(nested);
        }
    }

    private void AddEnum(EnumDescriptor enumeration)
    {
        _symbols[enumeration.FullName] = enumeration.File;

        // Values stand beside their enum, not in it, as in C++: the runtime's own FullName for them says otherwise.
        string scope = enumeration.FullName[..^enumeration.Name.Length];
        foreach (EnumValueDescriptor value in enumeration.Values)
        {
            _symbols[scope + value.Name] = enumeration.File;
        }
    }

    private ServerReflectionResponse ListServices()
    {
        ListServiceResponse list = new();
        foreach (string service in _services)
        {
            list.Service.Add(new ServiceResponse { Name = service });
        }

        return new ServerReflectionResponse { ListServicesResponse = list };
    }

    private static ServerReflectionResponse FileOf(Dictionary<string, FileDescriptor> files, string key, string miss)
    {
        if (!files.TryGetValue(key, out FileDescriptor? file))
        {
            return Error(StatusCode.NotFound, miss);
        }

        FileDescriptorResponse response = new();
        AddWithImports(file, response, new HashSet<string>(StringComparer.Ordinal));
        return new ServerReflectionResponse { FileDescriptorResponse = response };
    }

    /// <summary>The file itself first: some tools take the first for what they asked for.</summary>
    private static void AddWithImports(FileDescriptor file, FileDescriptorResponse response, HashSet<string> seen)
    {
        if (!seen.Add(file.Name))
        {
            return;
        }

        response.FileDescriptorProto.Add(file.SerializedData);
        foreach (FileDescriptor import in file.Dependencies)
        {
            AddWithImports(import, response, seen);
        }
    }

    /// <summary>proto3 has no extensions but those of options, which none of the files define.</summary>
    private ServerReflectionResponse NoExtensions(string type) => _symbols.ContainsKey(type)
        ? new ServerReflectionResponse { AllExtensionNumbersResponse = new ExtensionNumberResponse { BaseTypeName = type } }
        : Error(StatusCode.NotFound, $"There is no type '{type}'.");

    private static ServerReflectionResponse Error(StatusCode code, string message) =>
        new() { ErrorResponse = new ErrorResponse { ErrorCode = (int)code, ErrorMessage = message } };
}
